# Finds what a part of the build needs. What is missing ends the configuration with a sentence that says what to do.
# A target that the project around us made already is taken as it is.

set(mentedb_remedy_library "The library cannot be built without it.")
set(mentedb_remedy_cli "-DMENTEDB_BUILD_CLI=OFF builds the library without the command.")
set(mentedb_remedy_tests "-DMENTEDB_BUILD_TESTS=OFF builds without the tests.")
set(mentedb_remedy_bench "tools/bench installs the packages; -DMENTEDB_BUILD_BENCH=OFF builds without the comparison.")

function(mentedb_missing what part)
  message(FATAL_ERROR "${what} is missing. ${mentedb_remedy_${part}} "
                      "On Debian, tools/install-dependencies installs everything.")
endfunction()

# mentedb_need(PACKAGE TARGET PART): PART is library, cli, tests or bench.
macro(mentedb_need package target part)
  if(NOT TARGET ${target})
    find_package(${package} QUIET)
    if(NOT TARGET ${target})
      mentedb_missing(${package} ${part})
    endif()
  endif()
endmacro()

# The target PkgConfig::PREFIX of a package that only pkg-config knows.
macro(mentedb_need_pkg_config prefix module part)
  if(NOT TARGET PkgConfig::${prefix})
    find_package(PkgConfig QUIET)
    if(NOT PKG_CONFIG_FOUND)
      mentedb_missing(pkg-config ${part})
    endif()
    pkg_check_modules(${prefix} QUIET IMPORTED_TARGET ${module})
    if(NOT TARGET PkgConfig::${prefix})
      mentedb_missing(${module} ${part})
    endif()
  endif()
endmacro()
