# Compiles SOURCE without output. With EXPECTED, that must fail and the compiler must say so; without, it must work.
execute_process(
  COMMAND ${COMPILER} @${FLAGS} -fsyntax-only ${SOURCE}
  RESULT_VARIABLE result
  OUTPUT_VARIABLE said
  ERROR_VARIABLE said)
if(NOT EXPECTED)
  if(result)
    message(FATAL_ERROR "should compile:\n${said}")
  endif()
  return()
endif()
if(NOT result)
  message(FATAL_ERROR "should not compile, and does")
endif()
# Semicolons in C++ would make lists, and a compiler may break lines.
string(REPLACE ";" "," said "${said}")
string(FIND "${said}" "${EXPECTED}" found)
if(found EQUAL -1)
  message(FATAL_ERROR "the compiler's message lacks\n  ${EXPECTED}\nIt says:\n${said}")
endif()
