// What a shared libmentedb exports: the classes and functions of these headers, and nothing else.
#pragma once

#define MENTEDB_EXPORT __attribute__((visibility("default")))
#define MENTEDB_NO_EXPORT __attribute__((visibility("hidden")))
