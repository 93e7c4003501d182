// For the tests that are scripts: a profile as text (tests/testing/profile_text.h) on stdin, the
// profile in one format to a file; compared with a second one, if that is given.
//
//   write_profile svg out.svg [before.txt] < profile.txt
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <utility>

#include "export/exporter.h"
#include "import/compare.h"
#include "tests/testing/profile_text.h"

namespace {

std::string TextOf(std::istream& in) {
  return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    std::fprintf(stderr, "usage: write_profile FORMAT FILE [BEFORE] < text\n");
    return 2;
  }
  const jprof::ExportFormat* format = jprof::FindFormatByName(argv[1]);
  if (format == nullptr) {
    std::fprintf(stderr, "write_profile: no format %s\n", argv[1]);
    return 2;
  }
  jprof::Profile profile = jprof::ParseProfile(TextOf(std::cin));
  if (argc == 4) {
    std::ifstream file(argv[3]);
    absl::StatusOr<jprof::Profile> compared =
        jprof::Compare(jprof::ParseProfile(TextOf(file)), profile);
    if (!compared.ok()) {
      std::fprintf(stderr, "write_profile: %s\n", compared.status().ToString().c_str());
      return 1;
    }
    profile = *std::move(compared);
  }
  jprof::StringSink sink;
  absl::Status status = format->create()->Write(profile, sink);
  std::ofstream out(argv[2], std::ios::binary);
  out << sink.text();
  out.close();
  if (!status.ok() || !out) {
    std::fprintf(stderr, "write_profile: %s\n", status.ToString().c_str());
    return 1;
  }
  return 0;
}
