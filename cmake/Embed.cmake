# jprof_embed(TARGET NAMESPACE::symbol... ) turns files into absl::string_view constants at build time.
#
#   jprof_embed(TARGET jprof_web HEADER web/assets.h FILES flamegraph.js flamegraph.css)
#
# gives the target a generated header with accessors: jprof::assets::flamegraph_js() and so on, and
# flamegraph_js_sha256(), its 32 bytes.
function(jprof_embed)
  cmake_parse_arguments(ARG "" "TARGET;HEADER" "FILES" ${ARGN})
  set(header ${PROJECT_BINARY_DIR}/${ARG_HEADER})
  string(REGEX REPLACE "\\.h$" ".cc" source ${header})
  set(inputs)
  foreach(file ${ARG_FILES})
    cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    list(APPEND inputs ${file})
  endforeach()
  add_custom_command(
    OUTPUT ${header} ${source}
    COMMAND ${CMAKE_COMMAND} -DHEADER=${header} -DSOURCE=${source} -DINCLUDE=${ARG_HEADER}
            "-DINPUTS=${inputs}" -P ${PROJECT_SOURCE_DIR}/cmake/EmbedScript.cmake
    DEPENDS ${inputs} ${PROJECT_SOURCE_DIR}/cmake/EmbedScript.cmake
    VERBATIM)
  target_sources(${ARG_TARGET} PRIVATE ${header} ${source})
endfunction()

# jprof_join(NAME FIRST text LAST text FILES file...) joins scripts into one of that name in the build
# folder, with a line before and a line behind them: they are parts of one function.
function(jprof_join name)
  cmake_parse_arguments(ARG "" "FIRST;LAST" "FILES" ${ARGN})
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${name})
  set(inputs)
  foreach(file ${ARG_FILES})
    list(APPEND inputs ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  endforeach()
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} "-DFIRST=${ARG_FIRST}" "-DLAST=${ARG_LAST}"
            "-DINPUTS=${inputs}" -P ${PROJECT_SOURCE_DIR}/cmake/JoinScript.cmake
    DEPENDS ${inputs} ${PROJECT_SOURCE_DIR}/cmake/JoinScript.cmake
    VERBATIM)
endfunction()
