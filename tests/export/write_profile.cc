// For the tests that are scripts: a profile as text (tests/testing/profile_text.h) on stdin, the
// profile in one format to a file.
//
//   write_profile svg out.svg < profile.txt
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "export/exporter.h"
#include "tests/testing/profile_text.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: write_profile FORMAT FILE < text\n");
    return 2;
  }
  const jprof::ExportFormat* format = jprof::FindFormatByName(argv[1]);
  if (format == nullptr) {
    std::fprintf(stderr, "write_profile: no format %s\n", argv[1]);
    return 2;
  }
  std::string text((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
  jprof::StringSink sink;
  absl::Status status = format->create()->Write(jprof::ParseProfile(text), sink);
  std::ofstream out(argv[2], std::ios::binary);
  out << sink.text();
  out.close();
  if (!status.ok() || !out) {
    std::fprintf(stderr, "write_profile: %s\n", status.ToString().c_str());
    return 1;
  }
  return 0;
}
