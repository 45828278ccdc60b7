# Compiles SOURCE without output, with the flags HEADER before it, as EXPECTED says: `compiles`, or the sentence with which it does not.
# That must be the compiler's first error, as a static assertion, and whatever else rankview says must be the same. With PRECOMPILED,
# makes a precompiled header of SOURCE instead.
if(PRECOMPILED)
  set(arguments -x c++-header -w ${SOURCE} -o ${PRECOMPILED})
  set(EXPECTED compiles)
else()
  separate_arguments(arguments UNIX_COMMAND "${HEADER}")
  list(APPEND arguments -fsyntax-only ${SOURCE})
endif()
execute_process(
  COMMAND ${CMAKE_COMMAND} -E env LC_ALL=C ${COMPILER} @${FLAGS} ${arguments}
  RESULT_VARIABLE result
  OUTPUT_VARIABLE said
  ERROR_VARIABLE said)
if(EXPECTED STREQUAL "compiles")
  if(result)
    message(FATAL_ERROR "should compile:\n${said}")
  endif()
  return()
endif()
if(NOT result)
  message(FATAL_ERROR "should not compile, and does")
endif()
# Semicolons and brackets in C++ would make lists.
string(REGEX REPLACE "[][;]" " " said "${said}")
string(REGEX REPLACE "[][;]" " " EXPECTED "${EXPECTED}")
string(REGEX MATCHALL "[^\n]*error: [^\n]*" errors "${said}")
set(first TRUE)
foreach(error IN LISTS errors)
  string(FIND "${error}" ": ${EXPECTED}" found)
  if(first AND (found EQUAL -1 OR NOT error MATCHES "error: static assertion failed"))
    message(FATAL_ERROR "the compiler's first error is not\n  ${EXPECTED}\nIt says:\n${said}")
  elseif(found EQUAL -1 AND error MATCHES "rankview: ")
    message(FATAL_ERROR "another sentence than\n  ${EXPECTED}\nis said, too:\n  ${error}\nin\n${said}")
  endif()
  set(first FALSE)
endforeach()
if(first)
  message(FATAL_ERROR "does not compile, without a word of why:\n${said}")
endif()
