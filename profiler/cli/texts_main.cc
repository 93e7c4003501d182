// At build time: writes the manual page and the shells' completions into a folder, as share/ has
// them.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "profiler/cli/command_line.h"
#include "profiler/cli/completions.h"
#include "profiler/cli/manual.h"

#ifndef JPROF_VERSION
#error "the build defines JPROF_VERSION"
#endif

namespace {

bool Write(const std::filesystem::path& path, const std::string& text) {
  std::error_code failed;
  std::filesystem::create_directories(path.parent_path(), failed);
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) std::fprintf(stderr, "cannot write %s\n", path.c_str());
  return bool(file);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::filesystem::path share = argv[1];
  const std::vector<jprof::CommandText> commands = jprof::AllCommands();
  return Write(share / "man/man1/jprof.1", jprof::ManualPage(commands, JPROF_VERSION)) &&
                 Write(share / "bash-completion/completions/jprof",
                       jprof::BashCompletion(commands)) &&
                 Write(share / "zsh/site-functions/_jprof", jprof::ZshCompletion(commands)) &&
                 Write(share / "fish/vendor_completions.d/jprof.fish",
                       jprof::FishCompletion(commands))
             ? 0
             : 1;
}
