# Warnings, sanitizers and include paths that every target of the project shares, and the three
# kinds of target there are: a library of one folder, a unit test, a fuzz target.

find_program(JPROF_CCACHE ccache)
if(JPROF_CCACHE)
  # One cache for all clones and build directories.
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
      ${JPROF_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()

add_library(jprof_flags INTERFACE)
target_include_directories(jprof_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
target_compile_options(jprof_flags INTERFACE
  -Wall -Wextra -Wshadow -Wno-missing-field-initializers
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual>
  $<$<BOOL:${JPROF_WERROR}>:-Werror>)
if(JPROF_SANITIZE)
  target_compile_options(jprof_flags INTERFACE
    -fsanitize=${JPROF_SANITIZE} -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(jprof_flags INTERFACE -fsanitize=${JPROF_SANITIZE})
endif()
if(JPROF_FUZZ)
  target_compile_options(jprof_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# jprof_library(NAME SOURCES file... DEPS target...)
function(jprof_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC jprof_flags ${ARG_DEPS})
endfunction()

# jprof_test(NAME SOURCES file... DEPS target... [LABELS label...])
# One executable of GoogleTest cases, registered with CTest as one test.
function(jprof_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE jprof_flags ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE
    JPROF_SOURCE_DIR="${PROJECT_SOURCE_DIR}" JPROF_BINARY_DIR="${PROJECT_BINARY_DIR}")
  # The tests' own code need not be fast, but there is much of it to compile.
  target_compile_options(${name} PRIVATE -O0)
  if(JPROF_SANITIZE AND "live" IN_LIST ARG_LABELS)
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
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
  target_link_libraries(${name} PRIVATE jprof_flags ${ARG_DEPS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
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
