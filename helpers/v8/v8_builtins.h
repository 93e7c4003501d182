// Names of V8's embedded builtins in a binary without symbols for them.
//
// Every V8 has a table of its builtins, in the order of their numbers, which is that of the blob:
//
//   name: pointer | kind: small number | data        24 bytes, for each builtin
//
// It is where a pointer to the literal "InterpreterEntryTrampoline" is, in constants or, in a file
// that is loaded anywhere, where such a pointer is written when it is loaded (RELA).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "symbolize/elf_file.h"

namespace jprof::v8 {

// The names in the order of the builtins, as their symbols have them, without the prefix. Empty
// unless exactly `builtins` rows follow each other, no two of one name, the last `handlers` of them
// bytecode handlers from the first one on. Reads the file's data twice at most: some 10 ms.
std::vector<std::string> FindBuiltinNames(const ElfFile& image, size_t builtins, size_t handlers);

}  // namespace jprof::v8
