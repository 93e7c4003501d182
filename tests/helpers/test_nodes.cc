#include "tests/helpers/test_nodes.h"

#include <unistd.h>

#include <cctype>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tests/testing/paths.h"

namespace jprof {
namespace {

constexpr absl::string_view kNodes = JPROF_SOURCE_DIR "/build/nodes/";
constexpr absl::string_view kProgram = "/bin/node";

}  // namespace

std::vector<std::string> TestNodes() {
  if (const char* nodes = std::getenv("JPROF_TEST_NODES")) {
    return absl::StrSplit(nodes, ':', absl::SkipEmpty());
  }
  std::vector<std::string> paths;
  for (absl::string_view version : absl::StrSplit(JPROF_NODE_VERSIONS, ' ')) {
    paths.push_back(absl::StrCat(kNodes, version, kProgram));
  }
  return paths;
}

std::string WhyNoNode(const std::string& path) {
  if (::access(path.c_str(), X_OK) == 0) return "";
  return absl::StrCat("no ", path, "; tools/fetch-node VERSION downloads it");
}

std::string TestNameOf(absl::string_view text) {
  absl::ConsumePrefix(&text, kNodes);
  absl::ConsumeSuffix(&text, kProgram);
  std::string name(text);
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
}

}  // namespace jprof
