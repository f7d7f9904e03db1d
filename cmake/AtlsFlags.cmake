# Warnings, hardening, sanitizers: one place, each with its reason where it is not plain.
add_library(atls_flags INTERFACE)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

target_compile_definitions(atls_flags INTERFACE _POSIX_C_SOURCE=200809L
    OPENSSL_API_COMPAT=30000 OPENSSL_NO_DEPRECATED)
target_include_directories(atls_flags INTERFACE
    "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src")

target_compile_options(atls_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wundef -Wvla -Wcast-qual
    -Wcast-align -Wformat=2 -Wstrict-prototypes -Wold-style-definition -Wmissing-prototypes
    -Wwrite-strings -Wpointer-arith -Wimplicit-fallthrough -Wnull-dereference)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    target_compile_options(atls_flags INTERFACE -Wlogical-op -Wduplicated-cond -Wduplicated-branches
        -Wjump-misses-init -Wtrampolines)
else()
    target_compile_options(atls_flags INTERFACE -Wshorten-64-to-32 -Wcomma
        -Wconditional-uninitialized -Wunreachable-code)
endif()
# gcc 12 moves loads of a list's head out of loops that change it (src/attester/batch.c was one; with
# -O3, or -O2 and more inlining), and with this it does not.
if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_C_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(atls_flags INTERFACE -fno-strict-aliasing)
endif()
if(ATLS_WERROR)
    target_compile_options(atls_flags INTERFACE -Werror)
endif()

if(ATLS_FUZZ)
    # Coverage feedback from the libraries, not only from the target's own file.
    target_compile_options(atls_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

if(ATLS_SANITIZE)
    target_compile_options(atls_flags INTERFACE -fsanitize=${ATLS_SANITIZE} -fno-omit-frame-pointer
        -fno-sanitize-recover=all -g -O1)
    target_link_options(atls_flags INTERFACE -fsanitize=${ATLS_SANITIZE})
elseif(ATLS_COVERAGE)
    # Atomic: lines are counted by several threads, and a lost count can look negative to gcovr.
    target_compile_options(atls_flags INTERFACE --coverage -fprofile-update=atomic -O0 -g)
    target_link_options(atls_flags INTERFACE --coverage)
else()
    target_compile_options(atls_flags INTERFACE -fstack-protector-strong -fstack-clash-protection
        -ftrivial-auto-var-init=pattern)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|i.86")
        target_compile_options(atls_flags INTERFACE -fcf-protection)
    elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64")
        target_compile_options(atls_flags INTERFACE -mbranch-protection=standard)
    endif()
    if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
        target_compile_options(atls_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
    endif()
    target_link_options(atls_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
