# Run by jprof_embed(): writes HEADER and SOURCE with one accessor for each file in INPUTS.
set(header "#pragma once\n\n#include \"absl/strings/string_view.h\"\n\nnamespace jprof::assets {\n")
set(source "#include \"${INCLUDE}\"\n\nnamespace jprof::assets {\n")
foreach(input ${INPUTS})
  get_filename_component(name ${input} NAME)
  string(MAKE_C_IDENTIFIER ${name} symbol)
  file(READ ${input} hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR size "${digits} / 2")
  # Compilers read texts much faster than lists of numbers.
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" bytes "${hex}")
  string(REGEX REPLACE "(................................................................)" "\\1\"\n\"" bytes "${bytes}")
  file(SHA256 ${input} hash)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" hash "${hash}")
  string(APPEND header "absl::string_view ${symbol}();\nabsl::string_view ${symbol}_sha256();\n")
  string(APPEND source
    "alignas(8) static const char k_${symbol}[] =\n\"${bytes}\";\n"
    "absl::string_view ${symbol}() { return {k_${symbol}, ${size}}; }\n"
    "absl::string_view ${symbol}_sha256() { return {\"${hash}\", 32}; }\n")
endforeach()
file(WRITE ${HEADER} "${header}}  // namespace jprof::assets\n")
file(WRITE ${SOURCE} "${source}}  // namespace jprof::assets\n")
