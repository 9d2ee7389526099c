# SPDX-License-Identifier: MIT
# sql/statements/*.sql and sql/schema/*.sql become C arrays at build time.
function(baton_statements target)
  find_program(PYTHON3 NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH)
  find_program(PYTHON3 NAMES python3 REQUIRED)
  set(generated ${CMAKE_BINARY_DIR}/generated)
  file(MAKE_DIRECTORY ${generated}/sql)
  file(GLOB inputs CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/sql/statements/*.sql
       ${CMAKE_SOURCE_DIR}/sql/schema/*.sql)
  add_custom_command(
    OUTPUT ${generated}/sql/statement_table.h ${generated}/sql/statement_table.c
    COMMAND ${PYTHON3} ${CMAKE_SOURCE_DIR}/cmake/statements.py
            ${CMAKE_SOURCE_DIR}/sql ${generated}/sql
    DEPENDS ${inputs} ${CMAKE_SOURCE_DIR}/cmake/statements.py
    COMMENT "Generating the table of SQL statements")
  target_sources(${target} PRIVATE ${generated}/sql/statement_table.h
                 ${generated}/sql/statement_table.c)
  target_include_directories(${target} PUBLIC ${generated})
endfunction()
