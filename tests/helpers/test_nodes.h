// The node binaries that tests run: those of the environment's JPROF_TEST_NODES (paths, parted by
// colons), else the versions of tests/helpers/CMakeLists.txt, fetched by tools/fetch-node.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace jprof {

// Paths, whether there is a file or not.
std::vector<std::string> TestNodes();

// "" when `path` can be run, else what is missing.
std::string WhyNoNode(const std::string& path);

// For names of tests: letters, digits and '_'.
std::string TestNameOf(absl::string_view text);

}  // namespace jprof
