# Warnings, sanitizers, include paths and precompiled headers that the targets of the project share, and
# the three kinds of target there are: a library of one folder, a unit test, a fuzz target.

find_program(JPROF_CCACHE ccache)
if(JPROF_CCACHE)
  # One cache for all clones and build directories. (The presets let it keep the hashes of what is
  # included: a precompiled header has 150 MB.)
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros ${JPROF_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()

add_library(jprof_flags INTERFACE)
target_include_directories(jprof_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
# -pthread: some dependencies ask for it, and a precompiled header is good for one set of flags.
target_compile_options(jprof_flags INTERFACE
  -pthread -Wall -Wextra -Wshadow -Wno-missing-field-initializers
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual>
  $<$<BOOL:${JPROF_WERROR}>:-Werror>)
if(JPROF_SANITIZE)
  target_compile_options(jprof_flags INTERFACE
    -fsanitize=${JPROF_SANITIZE} -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(jprof_flags INTERFACE -fsanitize=${JPROF_SANITIZE})
endif()
# Whose coverage the fuzzers are guided by: what is under test, not the tests.
add_library(jprof_coverage INTERFACE)
if(JPROF_FUZZ)
  target_compile_options(jprof_coverage INTERFACE -fsanitize=fuzzer-no-link)
endif()

# Half of the time to compile most files goes into the same headers. They are precompiled, once for
# libraries and once for tests, whose flags differ.
if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>")
endif()
file(WRITE ${PROJECT_BINARY_DIR}/precompiled.cc "")
add_library(jprof_headers OBJECT EXCLUDE_FROM_ALL ${PROJECT_BINARY_DIR}/precompiled.cc)
target_link_libraries(jprof_headers PRIVATE jprof_flags jprof_coverage absl::flat_hash_map)
target_precompile_headers(jprof_headers PRIVATE ${PROJECT_SOURCE_DIR}/cmake/precompiled.h)
add_executable(jprof_test_headers EXCLUDE_FROM_ALL ${PROJECT_BINARY_DIR}/precompiled.cc)
target_link_libraries(jprof_test_headers PRIVATE jprof_flags GTest::gmock GTest::gtest_main)
target_compile_options(jprof_test_headers PRIVATE -O0)
target_precompile_headers(jprof_test_headers PRIVATE
  ${PROJECT_SOURCE_DIR}/cmake/precompiled.h <gmock/gmock.h> <gtest/gtest.h>)

# What the presets with sanitizers are for: unit tests that are not live, and the fuzzers. They build
# this and what it needs, none of the rest.
add_custom_target(sanitized)

# jprof_library(NAME SOURCES file... DEPS target...)
function(jprof_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC jprof_flags ${ARG_DEPS} PRIVATE jprof_coverage)
  target_precompile_headers(${name} REUSE_FROM jprof_headers)
endfunction()

# jprof_test(NAME SOURCES file... DEPS target... [LABELS label...])
# One executable of GoogleTest cases, registered with CTest as one test.
function(jprof_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE jprof_flags ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  # The tests' own code need not be fast, but there is much of it to compile.
  target_compile_options(${name} PRIVATE -O0)
  target_precompile_headers(${name} REUSE_FROM jprof_test_headers)
  if(NOT "live" IN_LIST ARG_LABELS)
    add_dependencies(sanitized ${name})
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "unit;${ARG_LABELS}" TIMEOUT 300)
endfunction()

# jprof_fuzzer(NAME SOURCES file... DEPS target...)
# A libFuzzer target; its corpus is tests/fuzz/corpus/NAME. `ctest -L fuzz` runs each for a short time.
function(jprof_fuzzer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  if(NOT JPROF_FUZZ)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE jprof_flags jprof_coverage ${ARG_DEPS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  add_dependencies(sanitized ${name})
  set(corpus ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
  file(GLOB seeds ${corpus}/*)
  if(NOT seeds)
    message(FATAL_ERROR "${name} has no seeds in ${corpus}")
  endif()
  set(findings ${PROJECT_BINARY_DIR}/fuzz-findings/${name})
  file(MAKE_DIRECTORY ${findings})
  add_test(NAME ${name} COMMAND ${name} -max_total_time=8 -timeout=10 -rss_limit_mb=512
    -artifact_prefix=${findings}/ ${findings} ${corpus})
  set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT 120)
endfunction()
