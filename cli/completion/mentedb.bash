# Bash completion for mentedb. Installed as bash-completion/completions/mentedb; works without that package too:
#   source mentedb.bash

_mentedb_options() { # command
  local fields='--type --agent --user --space --tag --attribute --embedding --context --salience --confidence
    --valid-from --valid-until'
  case $1 in
    '') echo --version ;;
    store) echo "$fields --id --node --if-absent --page-size" ;;
    update) echo "$fields --add-tag --remove-tag --remove-attribute --clear" ;;
    delete) echo --ignore-missing ;;
    list) echo --tag --agent --user --type --since --contains --order --limit --ids --count ;;
    import) echo --from --on-conflict --on-error --from-line --batch --page-size --no-progress ;;
    export) echo --no-progress ;;
    stats) echo --watch --interval ;;
    watch) echo --since --count --timeout ;;
    page) echo --all ;;
    log) echo --batches ;;
  esac
  echo --dir --json --lock-timeout --single-process --help
}

_mentedb_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2"); }

_mentedb_files() { # kind, word
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
}

_mentedb() {
  local commands='store get list update delete import export stats verify checkpoint erase-deleted recover backup restore salvage watch page
    log help version'
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' arguments=0 i from=''
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --from)
        from=${COMP_WORDS[i + 1]}
        ((i++))
        ;;
      -d | --dir | --lock-timeout | --on-conflict | --on-error | --from-line | --batch | --page-size | --tag | --type | \
        --since | --order | --limit)
        ((i++))
        ;;
      -*) ;;
      *)
        if [[ -z $command ]]; then command=${COMP_WORDS[i]}; else ((arguments++)); fi
        ;;
    esac
  done

  case $before in
    --type) _mentedb_words 'Episodic Semantic Procedural AntiPattern Reasoning Correction' "$word" ;;
    --from) _mentedb_words 'json mentedb-rs' "$word" ;;
    --on-conflict) _mentedb_words 'replace skip fail' "$word" ;;
    --on-error) _mentedb_words 'stop continue' "$word" ;;
    --order) _mentedb_words 'newest oldest' "$word" ;;
    --clear) _mentedb_words 'user space tags attributes embedding context valid-from valid-until' "$word" ;;
    -d | --dir) _mentedb_files -d "$word" ;;
    --agent | --user | --space | --tag | --attribute | --embedding | --context | --salience | --confidence | \
      --valid-from | --valid-until | --id | --node | --page-size | --add-tag | --remove-tag | --remove-attribute | \
      --contains | --limit | --from-line | --batch | --interval | --timeout | --lock-timeout) ;;
    *)
      if [[ $word == -* ]]; then
        _mentedb_words "$(_mentedb_options "$command")" "$word"
      elif [[ -z $command ]]; then
        _mentedb_words "$commands" "$word"
      elif ((arguments == 0)); then
        case $command in
          import) if [[ $from == mentedb-rs ]]; then _mentedb_files -d "$word"; else _mentedb_files -f "$word"; fi ;;
          export) _mentedb_files -f "$word" ;;
          help) _mentedb_words "$commands" "$word" ;;
          backup | restore | salvage) _mentedb_files -d "$word" ;;
        esac
      fi
      ;;
  esac
}

complete -F _mentedb mentedb
