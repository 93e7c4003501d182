# jprof_bpf_object(OBJECT SOURCE [include directory...]): compiles restricted C to a BPF object without
# DWARF and without paths of the build machine.
find_program(JPROF_BPF_CLANG NAMES clang clang-14 REQUIRED)
find_program(JPROF_BPFTOOL NAMES bpftool PATHS /usr/sbin REQUIRED)

function(jprof_bpf_object object source)
  list(TRANSFORM ARGN PREPEND "-I" OUTPUT_VARIABLE includes)
  get_filename_component(name ${object} NAME)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${CMAKE_C_COMPILER_LAUNCHER} ${JPROF_BPF_CLANG} -target bpf -mcpu=v3 -O2 -g -Wall -Werror -D__TARGET_ARCH_x86
            -fdebug-prefix-map=${PROJECT_SOURCE_DIR}=.
            -I${PROJECT_SOURCE_DIR} ${includes} -I/usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
            -MD -MF ${object}.d -c ${source} -o ${object}
    COMMAND ${JPROF_BPFTOOL} gen object ${object}.stripped ${object}
    COMMAND ${CMAKE_COMMAND} -E rename ${object}.stripped ${object}
    DEPENDS ${source} DEPFILE ${object}.d
    COMMENT "Building BPF object ${name}" VERBATIM)
endfunction()
