#include "profiler/cli/profile_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "export/pruned_tree.h"
#include "export/svg.h"
#include "import/folded_stacks.h"
#include "import/folded_text.h"
#include "import/importer.h"
#include "profiler/cli/code_finder.h"
#include "profiler/cli/command_main.h"
#include "profiler/cli/diagnostics.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

absl::StatusOr<UniqueFd> OpenInput(const std::string& path) {
  if (path == "-") {
    UniqueFd fd(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
    if (!fd.valid()) return ErrnoStatus(errno, "cannot read standard input");
    return fd;
  }
  const std::string what = absl::StrCat("cannot read ", path);
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd.valid()) return ErrnoStatus(errno, what);
  struct stat st;
  if (::fstat(fd.get(), &st) != 0) return ErrnoStatus(errno, what);
  if (S_ISDIR(st.st_mode)) return ErrnoStatus(EISDIR, what);
  return fd;
}

void PrintNotes(absl::string_view name, const std::vector<std::string>& notes) {
  for (const std::string& note : notes) PrintWarning(absl::StrCat(name, ": ", note));
}

absl::Status Save(const std::string& output, const std::string& format,
                  absl::FunctionRef<absl::Status(const ExportFormat&, OutputSink&)> write) {
  JPROF_ASSIGN_OR_RETURN(std::unique_ptr<OutputFile> file, OutputFile::Open(output));
  JPROF_RETURN_IF_ERROR(CheckTerminal(output, format, *file));
  JPROF_RETURN_IF_ERROR(write(ChooseFormat(output, format), *file));
  return file->Commit();
}

}  // namespace

absl::Status CheckFormat(absl::string_view output, absl::string_view format) {
  if (!format.empty()) {
    if (FindFormatByName(format) != nullptr) return absl::OkStatus();
    std::vector<absl::string_view> names;
    for (const ExportFormat& f : ExportFormats()) names.push_back(f.name);
    const std::string near = DidYouMean(format, names);
    return absl::InvalidArgumentError(
        absl::StrCat("unknown format '", format, "'",
                     near.empty() ? absl::StrCat("; known: ", absl::StrJoin(names, ", "))
                                  : absl::StrCat(", did you mean '", near, "'?")));
  }
  if (output.empty() || absl::StartsWith(output, "/dev/") || FindFormatByPath(output) != nullptr) {
    return absl::OkStatus();
  }
  std::vector<absl::string_view> suffixes;
  for (const ExportFormat& f : ExportFormats()) {
    suffixes.insert(suffixes.end(), f.suffixes.begin(), f.suffixes.end());
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", output, "' has no suffix that names a format: use one of ",
                   absl::StrJoin(suffixes, " "), ", or --format"));
}

const ExportFormat& ChooseFormat(absl::string_view output, absl::string_view format) {
  if (!format.empty()) return *FindFormatByName(format);
  const ExportFormat* by_suffix = FindFormatByPath(output);
  return by_suffix != nullptr ? *by_suffix : *FindFormatByName("svg");
}

absl::Status CheckTerminal(absl::string_view output, absl::string_view format,
                           const OutputFile& file) {
  if (!file.is_terminal()) return absl::OkStatus();
  const absl::string_view where = output.empty() ? "standard output" : output;
  const ExportFormat& chosen = ChooseFormat(output, format);
  if (chosen.binary) {
    return UsageError(
        absl::StrCat("the format ", chosen.name, " is binary and ", where, " is a terminal"),
        "name a file with -o FILE, or redirect: > FILE");
  }
  if (format.empty()) {
    return UsageError(absl::StrCat(where, " is a terminal"),
                      "name a file with -o FILE, or redirect: > out.svg");
  }
  return absl::OkStatus();
}

absl::StatusOr<Profile> LoadProfile(const std::string& path, const Transform& transform) {
  JPROF_ASSIGN_OR_RETURN(UniqueFd fd, OpenInput(path));
  struct stat st;
  const bool is_file = ::fstat(fd.get(), &st) == 0 && S_ISREG(st.st_mode);
  CodeFinder names(
      is_file ? int64_t{st.st_mtim.tv_sec} * 1'000'000'000 + st.st_mtim.tv_nsec : 0);
  Input input(std::make_unique<FileSource>(std::move(fd)));
  absl::StatusOr<Imported> imported = ReadProfile(input, &names);
  const std::string name = path == "-" ? "standard input" : path;
  if (!imported.ok()) return Annotate(imported.status(), absl::StrCat("cannot read ", name));
  PrintNotes(name, imported->notes);
  if (transform == Transform()) return std::move(imported->profile);
  absl::StatusOr<Profile> transformed = Transformed(imported->profile, transform);
  if (!transformed.ok()) return Annotate(transformed.status(), name);
  return transformed;
}

absl::StatusOr<bool> DrawLargeFolded(const std::string& path, const std::string& output,
                                     const std::string& format) {
  constexpr off_t kLargeBytes = 8 << 20;  // a smaller one takes little, and is read once
  struct stat st;
  if (path == "-" || ChooseFormat(output, format).name != "svg" ||
      ::stat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < kLargeBytes) {
    return false;
  }
  const size_t threads = std::clamp(std::thread::hardware_concurrency(), 1u, 2u);
  absl::StatusOr<std::vector<FoldedStacks>> parts = FoldedStacks::Open(path, threads);
  // Whatever else it is, the reader that keeps all reads it or says why not.
  if (!parts.ok()) return false;
  std::vector<StackSource*> sources;
  for (FoldedStacks& part : *parts) sources.push_back(&part);
  const absl::StatusOr<PictureTree> picture = PruneStacks(sources);
  if (!picture.ok()) return false;
  uint64_t skipped = 0;
  for (const FoldedStacks& part : *parts) skipped += part.skipped();
  std::vector<std::string> notes;
  NoteSkippedFolded(skipped, notes);
  PrintNotes(path, notes);
  JPROF_RETURN_IF_ERROR(Save(output, format, [&](const ExportFormat&, OutputSink& sink) {
    return WriteSvg(sources[0]->tables(), *picture, sink);
  }));
  return true;
}

absl::Status SaveProfile(const Profile& profile, const std::string& output,
                         const std::string& format) {
  return Save(output, format, [&](const ExportFormat& chosen, OutputSink& sink) {
    return chosen.create()->Write(profile, sink);
  });
}

}  // namespace jprof
