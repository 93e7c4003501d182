// How fast profiles are read and written, and in how much memory.
//
//   convert_rate make-folded FILE STACKS     so many distinct stacks, 140 bytes each
//   convert_rate make-perf FILE BYTES        text as of perf script, 15 to 45 frames a stack
//   convert_rate run COMMAND...              its output goes nowhere: seconds, CPU seconds, MB
//   convert_rate IN OUT                      reads IN, writes OUT, prints seconds and peak memory
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "export/exporter.h"
#include "import/importer.h"

namespace jprof {
namespace {

// Of a function; 4 to 25 bytes, as C programs have them.
std::string Name(uint64_t i) {
  constexpr const char* kParts[] = {"read", "parse",  "tree",  "node",  "get",  "update",
                                    "hash", "find",   "write", "alloc", "list", "walk",
                                    "sync", "lookup", "page",  "do"};
  i %= 5000;
  std::string name = kParts[i % 16];
  for (uint64_t rest = i / 16; rest > 0; rest /= 16) absl::StrAppend(&name, "_", kParts[rest % 16]);
  return absl::StrCat(name, i % 3 == 0 ? "_impl" : "");
}

class Random {
 public:
  uint64_t Below(uint64_t limit) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return (state_ >> 33) % limit;
  }

 private:
  uint64_t state_ = 1;
};

// A tree of calls with `stacks` distinct ends below `path`: a function calls four to twelve others,
// which share them unevenly. Sorted, as collapsers write it.
void MakeStacks(std::string& path, uint64_t function, uint64_t stacks, Random& random,
                std::ofstream& out) {
  const size_t size = path.size();
  absl::StrAppend(&path, ";", Name(function));
  if (stacks > 1) {
    std::map<std::string, std::pair<uint64_t, uint64_t>> callees;  // function, stacks
    const uint64_t fan_out = std::min(stacks, 4 + random.Below(9));
    for (uint64_t i = 0; i < fan_out; ++i) {
      const uint64_t callee = function * 31 + i * 97 + 1;
      callees.try_emplace(Name(callee), callee, 0);
    }
    uint64_t left = stacks, i = callees.size();
    for (auto& [name, callee] : callees) {
      callee.second = --i == 0 ? left : std::max<uint64_t>(1, random.Below(left - i) * 2 / (i + 1));
      callee.second = std::min(callee.second, left - i);
      left -= callee.second;
    }
    for (const auto& [name, callee] : callees) {
      MakeStacks(path, callee.first, callee.second, random, out);
    }
  } else if (random.Below(4) == 0) {
    MakeStacks(path, function * 31 + 1, 1, random, out);
  } else {
    out << path << " " << 1 + random.Below(random.Below(20) == 0 ? 1000 : 5) << "\n";
  }
  path.resize(size);
}

void MakeFolded(std::ofstream& out, uint64_t stacks) {
  std::string path = "app";
  Random random;
  MakeStacks(path, 1, stacks, random, out);
}

void MakePerf(std::ofstream& out, uint64_t bytes) {
  Random random;
  for (uint64_t t = 1; static_cast<uint64_t>(out.tellp()) < bytes; ++t) {
    out << absl::StrFormat("node 4711/4712 [%03d] %d.%06d:   10101010 cpu-clock:uhH: \n", t % 8,
                           1000 + t / 99, t % 99 * 10101);
    const uint64_t depth = 15 + random.Below(31), base = random.Below(5000);
    for (uint64_t d = 0; d < depth; ++d) {
      const uint64_t f = d < 4 ? base * (d + 1) + d * 37 : d * 97 + base % 7;
      out << absl::StrFormat("\t    %12x %s+0x%x (/usr/bin/node)\n", 0x55d000000000 + f * 4096 + d,
                             Name(f), d * 8);
    }
    out << "\n";
  }
}

class FileSink : public OutputSink {
 public:
  explicit FileSink(const char* path) : out_(path, std::ios::binary) {}
  absl::Status Append(absl::string_view bytes) override {
    out_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return out_ ? absl::OkStatus() : absl::UnknownError("cannot write");
  }

 private:
  std::ofstream out_;
};

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double CpuSeconds() {
  rusage usage;
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

int Convert(const char* from, const char* to) {
  UniqueFd fd(::open(from, O_RDONLY | O_CLOEXEC));
  struct stat st;
  const ExportFormat* format = FindFormatByPath(to);
  if (!fd.valid() || ::fstat(fd.get(), &st) != 0 || format == nullptr) return 2;
  const double begin = Seconds(), cpu_begin = CpuSeconds();
  absl::StatusOr<Imported> imported = [&] {
    Input input(std::make_unique<FileSource>(std::move(fd)));
    return ReadProfile(input);
  }();
  if (!imported.ok()) {
    std::fprintf(stderr, "%s\n", imported.status().ToString().c_str());
    return 1;
  }
  const double read = Seconds(), cpu_read = CpuSeconds();
  FileSink sink(to);
  if (!format->create()->Write(imported->profile, sink).ok()) return 1;
  const double end = Seconds(), cpu_end = CpuSeconds();
  rusage usage;
  ::getrusage(RUSAGE_SELF, &usage);
  const double mb = static_cast<double>(st.st_size) / 1e6;
  std::printf(
      "%.0f MB, %zu samples: read in %.2f s (CPU %.2f s, %.0f MB/s), written in %.2f s (CPU %.2f "
      "s), "
      "peak %.0f MB\n",
      mb, imported->profile.samples.size(), read - begin, cpu_read - cpu_begin,
      mb / (cpu_read - cpu_begin), end - read, cpu_end - cpu_read,
      static_cast<double>(usage.ru_maxrss) / 1000);
  return 0;
}

int Run(char** command) {
  const double begin = Seconds();
  const pid_t pid = ::fork();
  if (pid == 0) {
    const int nowhere = ::open("/dev/null", O_WRONLY);
    ::dup2(nowhere, STDOUT_FILENO);
    ::execvp(command[0], command);
    ::_exit(127);
  }
  rusage usage;
  int status = 0;
  if (pid < 0 || ::wait4(pid, &status, 0, &usage) != pid || status != 0) return 1;
  std::printf("%.2f %.2f %.0f\n", Seconds() - begin,
              static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                  static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6,
              static_cast<double>(usage.ru_maxrss) / 1000);
  return 0;
}

}  // namespace
}  // namespace jprof

int main(int argc, char** argv) {
  if (argc > 2 && argv[1] == std::string("run")) return jprof::Run(argv + 2);
  if (argc == 4) {
    std::ofstream out(argv[2], std::ios::binary);
    const uint64_t n = std::strtoull(argv[3], nullptr, 10);
    argv[1] == std::string("make-folded") ? jprof::MakeFolded(out, n) : jprof::MakePerf(out, n);
    return 0;
  }
  if (argc == 3) return jprof::Convert(argv[1], argv[2]);
  std::fprintf(stderr, "usage: convert_rate IN OUT\n");
  return 2;
}
