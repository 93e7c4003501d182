#include "profiler/cli/profile_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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
  Input input(std::make_unique<FileSource>(std::move(fd)));
  CodeFinder names;
  absl::StatusOr<Imported> imported = ReadProfile(input, &names);
  const std::string name = path == "-" ? "standard input" : path;
  if (!imported.ok()) return Annotate(imported.status(), absl::StrCat("cannot read ", name));
  for (const std::string& note : imported->notes) PrintWarning(absl::StrCat(name, ": ", note));
  if (transform == Transform()) return std::move(imported->profile);
  absl::StatusOr<Profile> transformed = Transformed(imported->profile, transform);
  if (!transformed.ok()) return Annotate(transformed.status(), name);
  return transformed;
}

absl::Status SaveProfile(const Profile& profile, const std::string& output,
                         const std::string& format) {
  JPROF_ASSIGN_OR_RETURN(std::unique_ptr<OutputFile> file, OutputFile::Open(output));
  JPROF_RETURN_IF_ERROR(CheckTerminal(output, format, *file));
  JPROF_RETURN_IF_ERROR(ChooseFormat(output, format).create()->Write(profile, *file));
  return file->Commit();
}

}  // namespace jprof
