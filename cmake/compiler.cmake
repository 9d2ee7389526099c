# SPDX-License-Identifier: MIT
# How everything is compiled: warnings, hardening, sanitizers.
add_library(baton_compiler INTERFACE)
target_compile_options(baton_compiler INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
  -Wformat=2 -Wvla -fno-strict-aliasing -fno-common
  $<$<BOOL:${BATON_WERROR}>:-Werror>)
target_compile_definitions(baton_compiler INTERFACE _GNU_SOURCE)

set(CMAKE_POSITION_INDEPENDENT_CODE ON)
target_link_options(baton_compiler INTERFACE
  $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-pie>
  -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
target_compile_options(baton_compiler INTERFACE
  -fstack-protector-strong -fstack-clash-protection -fcf-protection)

if(BATON_SANITIZE)
  target_compile_options(baton_compiler INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=undefined
    -fno-omit-frame-pointer)
  target_link_options(baton_compiler INTERFACE -fsanitize=address,undefined)
elseif(CMAKE_BUILD_TYPE MATCHES "Release|RelWithDebInfo")
  target_compile_options(baton_compiler INTERFACE -U_FORTIFY_SOURCE
                         -D_FORTIFY_SOURCE=2)
endif()
if(BATON_COVERAGE)
  target_compile_options(baton_compiler INTERFACE --coverage)
  target_link_options(baton_compiler INTERFACE --coverage)
endif()
if(BATON_FUZZ)
  target_compile_options(baton_compiler INTERFACE -fsanitize=fuzzer-no-link)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
