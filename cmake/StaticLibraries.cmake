# Makes the imported libraries that Debian also has as archives be linked from those, so that the binary
# runs on a host that has none of them: only the C and C++ runtimes stay shared.
function(jprof_link_statically)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target ${targets})
    get_target_property(type ${target} TYPE)
    if(type STREQUAL "INTERFACE_LIBRARY" OR NOT target MATCHES "^(absl|protobuf|ZLIB)::")
      continue()
    endif()
    foreach(property IMPORTED_LOCATION IMPORTED_LOCATION_NONE IMPORTED_LOCATION_RELEASE)
      get_target_property(location ${target} ${property})
      if(NOT location)
        continue()
      endif()
      string(REGEX REPLACE "\\.so[.0-9]*$" ".a" archive ${location})
      if(EXISTS ${archive})
        set_target_properties(${target} PROPERTIES ${property} ${archive})
      endif()
    endforeach()
  endforeach()
  # What libbpf and libelf need in turn is in pkg-config's static list; named by path, since -lbpf would
  # find the shared ones.
  foreach(library bpf elf z lzma zstd re2)
    find_library(JPROF_ARCHIVE_${library} NAMES lib${library}.a REQUIRED)
  endforeach()
  foreach(package LIBBPF LIBELF)
    set_target_properties(PkgConfig::${package} PROPERTIES INTERFACE_LINK_LIBRARIES
      "${JPROF_ARCHIVE_bpf};${JPROF_ARCHIVE_elf};${JPROF_ARCHIVE_z}")
  endforeach()
  set_target_properties(PkgConfig::LIBLZMA PROPERTIES
    INTERFACE_LINK_LIBRARIES ${JPROF_ARCHIVE_lzma})
  set_target_properties(PkgConfig::LIBZSTD PROPERTIES
    INTERFACE_LINK_LIBRARIES ${JPROF_ARCHIVE_zstd})
  set_target_properties(PkgConfig::RE2 PROPERTIES INTERFACE_LINK_LIBRARIES
    "${JPROF_ARCHIVE_re2};Threads::Threads")
endfunction()
