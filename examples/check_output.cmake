# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# cmake -DSOURCE=example.cpp [-DALSO=regex] -P check_output.cmake -- command...
#
# Runs the command and compares what it prints with the output that the head comment of its source promises: the lines after
# "// Output", where what stands in <> may differ. A number there stands for any number, words for any words. ALSO is a regular
# expression that the whole output must match besides.

cmake_policy(VERSION 3.25)

# The command is what follows "--".
set(command)
foreach(i RANGE 1 ${CMAKE_ARGC})
  if(found AND i LESS CMAKE_ARGC)
    list(APPEND command "${CMAKE_ARGV${i}}")
  elseif("${CMAKE_ARGV${i}}" STREQUAL "--")
    set(found YES)
  endif()
endforeach()

file(READ "${SOURCE}" source)
if(NOT source MATCHES "\n// Output[^\n]*\n((//   [^\n]*\n|//\n)+)")
  message(FATAL_ERROR "${SOURCE} has no output in its head comment")
endif()
string(REGEX REPLACE "(^|\n)//( ? ? ?)" "\\1" promised "${CMAKE_MATCH_1}")

execute_process(COMMAND ${command} OUTPUT_VARIABLE printed ERROR_VARIABLE errors RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  string(REPLACE "\n" "\n  " all "\n${errors}\n${printed}")
  message(FATAL_ERROR "exit status ${result}${all}")
endif()

# Two lists of lines. A list keeps neither empty elements nor some characters as they are: each line begins with a bar, and control
# characters stand for the others.
string(ASCII 29 semicolon)
string(ASCII 30 opening)
string(ASCII 31 closing)
foreach(text promised printed)
  string(REGEX REPLACE "\n$" "" ${text} "${${text}}")
  string(REPLACE ";" "${semicolon}" ${text} "${${text}}")
  string(REPLACE "[" "${opening}" ${text} "${${text}}")
  string(REPLACE "]" "${closing}" ${text} "${${text}}")
  string(REPLACE "\n" ";|" ${text} "|${${text}}")
endforeach()

list(LENGTH promised promised_lines)
list(LENGTH printed printed_lines)
if(NOT promised_lines EQUAL printed_lines)
  string(REPLACE ";" "\n  " printed "${printed}")
  message(FATAL_ERROR "${promised_lines} lines expected, ${printed_lines} printed:\n  ${printed}")
endif()
foreach(want got IN ZIP_LISTS promised printed)
  string(REGEX REPLACE "([.*+?^$()|\\])" "\\\\\\1" pattern "${want}")
  string(REGEX REPLACE " *<[0-9.\\]+>" " *[0-9.]+" pattern "${pattern}")
  string(REGEX REPLACE " *<[^>]+>" " *.+" pattern "${pattern}")
  if(NOT got MATCHES "^${pattern}$")
    message(FATAL_ERROR "this line is not as promised\n  expected ${want}\n  printed  ${got}")
  endif()
endforeach()

if(ALSO)
  string(REPLACE ";|" "\n" printed "${printed}")
  if(NOT printed MATCHES "${ALSO}")
    string(REPLACE "\n" "\n  " printed "${printed}")
    message(FATAL_ERROR "\"${ALSO}\" does not match\n  ${printed}")
  endif()
endif()
