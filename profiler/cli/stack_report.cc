#include "profiler/cli/stack_report.h"

#include <regex.h>

#include <algorithm>
#include <map>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "export/text.h"

namespace jprof {
namespace {

constexpr size_t kMaxThreadsNamed = 12;  // in the head of a group

// Owns a compiled expression.
class Filter {
 public:
  explicit Filter(const std::string& expression) : all_(expression.empty()) {
    if (!all_) error_ = ::regcomp(&regex_, expression.c_str(), REG_EXTENDED | REG_NOSUB);
  }
  ~Filter() {
    if (!all_ && error_ == 0) ::regfree(&regex_);
  }
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;

  std::string Error() const {
    if (error_ == 0) return "";
    char text[256];
    ::regerror(error_, &regex_, text, sizeof(text));
    return text;
  }
  bool Matches(const std::string& text) const {
    return all_ || (error_ == 0 && ::regexec(&regex_, text.c_str(), 0, nullptr, 0) == 0);
  }

 private:
  regex_t regex_;
  bool all_;
  int error_ = 0;
};

absl::string_view FileName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

absl::string_view StateText(char state) {
  switch (state) {
    case 'R':
      return "running";
    case 'S':
      return "sleeping";
    case 'D':
      return "uninterruptible";
    case 'T':
      return "stopped";
    case 't':
      return "traced";
    case 'I':
      return "idle";
    default:
      return "";
  }
}

std::string DetailText(const ReportedThread& thread) {
  std::string text(StateText(thread.state));
  if (thread.cpu_ns) {
    absl::StrAppend(&text, text.empty() ? "" : ", ",
                    absl::StrFormat("%.2f s on CPU", static_cast<double>(*thread.cpu_ns) / 1e9));
  }
  return text;
}

std::string WaitText(const ReportedThread& thread) {
  std::string text = ShownText(thread.waits_in);
  if (!thread.kernel_function.empty()) {
    absl::StrAppend(&text, text.empty() ? "in " : "  in ", ShownText(thread.kernel_function));
  }
  return text;
}

// nullptr: not known.
const std::vector<FrameArgument>* ArgumentsOf(const ReportedThread& thread,
                                              const StackFrame& frame) {
  auto found = thread.arguments.find({frame.stack.value, frame.level});
  return found == thread.arguments.end() ? nullptr : &found->second;
}

std::string ArgumentsText(const StackReport& report, const ReportedThread& thread,
                          const StackFrame& frame) {
  const std::vector<FrameArgument>* arguments = ArgumentsOf(thread, frame);
  if (arguments == nullptr) {
    return report.has_arguments && IsScript(frame.function->kind) ? "(?)" : "";
  }
  std::vector<std::string> values;
  for (const FrameArgument& argument : *arguments) {
    values.push_back(absl::StrCat(argument.name, argument.name.empty() ? "" : "=", argument.value));
  }
  return ShownText(absl::StrCat("(", absl::StrJoin(values, ", "), ")"));
}

// The name of a function of C++ without the list of its parameters' types.
absl::string_view WithoutTypes(absl::string_view name) {
  absl::string_view rest = name;
  for (const absl::string_view suffix : {" [clone", " const", " &&", " &", " volatile"}) {
    const size_t at = rest.rfind(suffix);
    if (at != absl::string_view::npos && (suffix[1] == '[' || at + suffix.size() == rest.size())) {
      rest = rest.substr(0, at);
    }
  }
  if (rest.empty() || rest.back() != ')') return name;
  size_t depth = 0;
  for (size_t i = rest.size(); i-- > 0;) {
    if (rest[i] == ')') ++depth;
    if (rest[i] != '(' || --depth > 0) continue;
    rest = rest.substr(0, i);
    return rest.empty() || absl::EndsWith(rest, "operator") ? name : rest;
  }
  return name;
}

bool IsWanted(const ReportedThread& thread, const Profile& profile, const Filter& filter) {
  if (filter.Matches(thread.name) || filter.Matches(thread.waits_in) ||
      filter.Matches(thread.kernel_function)) {
    return true;
  }
  const std::vector<StackFrame> frames = FramesOf(profile, thread.stack);
  return std::any_of(frames.begin(), frames.end(), [&](const StackFrame& frame) {
    return filter.Matches(FrameText(profile, frame));
  });
}

std::vector<const ReportedThread*> Wanted(const StackReport& report, const Profile& profile,
                                          const StackReportOptions& options) {
  const Filter filter(options.filter);
  std::vector<const ReportedThread*> wanted;
  for (const ReportedThread& thread : report.threads) {
    if (options.filter.empty() || IsWanted(thread, profile, filter)) wanted.push_back(&thread);
  }
  return wanted;
}

absl::string_view KindText(FrameKind kind) {
  switch (kind) {
    case FrameKind::kNative:
      return "native";
    case FrameKind::kKernel:
      return "kernel";
    case FrameKind::kScript:
    case FrameKind::kLibraryScript:
      return "script";
    case FrameKind::kAsync:
      return "async";
    case FrameKind::kBuiltin:
      return "builtin";
    case FrameKind::kWasm:
      return "wasm";
    case FrameKind::kJit:
      return "jit";
    case FrameKind::kUnknown:
      return "unknown";
    case FrameKind::kMarker:
      return "marker";
  }
  return "unknown";
}

}  // namespace

std::vector<StackFrame> FramesOf(const Profile& profile, StackId stack) {
  std::vector<StackFrame> frames;
  for (StackId at = stack; at.valid(); at = profile.stacks[at.value].caller) {
    const Location& location = profile.locations[profile.stacks[at.value].location.value];
    const ProfileImage* image =
        location.image.valid() ? &profile.images[location.image.value] : nullptr;
    const std::span<const Line> lines = profile.Lines(location);
    for (size_t i = 0; i < lines.size(); ++i) {
      frames.push_back({at, &profile.functions[lines[i].function.value], image, lines[i].line,
                        lines[i].column, static_cast<uint32_t>(lines.size() - 1 - i)});
    }
  }
  return frames;
}

std::string PlaceText(const Profile& profile, const StackFrame& frame) {
  const absl::string_view file = profile.String(frame.function->file);
  if (file.empty()) return "";
  if (frame.line != 0) {
    return frame.column != 0 ? absl::StrCat(file, ":", frame.line, ":", frame.column)
                             : absl::StrCat(file, ":", frame.line);
  }
  if (frame.function->start_line != 0) return absl::StrCat(file, ":", frame.function->start_line);
  return std::string(file);
}

std::string FrameText(const Profile& profile, const StackFrame& frame,
                      absl::string_view arguments) {
  absl::string_view name = profile.String(frame.function->name);
  if (!arguments.empty() && frame.function->kind == FrameKind::kNative) name = WithoutTypes(name);
  std::string text = absl::StrCat(ShownText(name), arguments);
  const std::string place = PlaceText(profile, frame);
  if (!place.empty()) absl::StrAppend(&text, "  ", ShownText(place));
  if (place.empty() && frame.image != nullptr &&
      (frame.function->kind == FrameKind::kNative || frame.function->kind == FrameKind::kBuiltin)) {
    absl::StrAppend(&text, "  ", ShownText(FileName(profile.String(frame.image->path))));
  }
  if (frame.inlined()) absl::StrAppend(&text, "  (inlined)");
  return text;
}

std::string JsonText(absl::string_view raw) {
  std::string out = "\"";
  for (unsigned char c : ValidUtf8(raw)) {
    if (c == '"' || c == '\\') {
      out += {'\\', static_cast<char>(c)};
    } else if (c < 0x20) {
      absl::StrAppendFormat(&out, "\\u%04x", c);
    } else {
      out += static_cast<char>(c);
    }
  }
  return out + "\"";
}

std::string FrameJson(const Profile& profile, const StackFrame& frame,
                      const std::vector<FrameArgument>* arguments) {
  std::string out =
      absl::StrCat("{\"name\":", JsonText(profile.String(frame.function->name)), ",\"kind\":\"",
                   KindText(frame.function->kind), "\"");
  const absl::string_view file = profile.String(frame.function->file);
  if (!file.empty()) absl::StrAppend(&out, ",\"file\":", JsonText(file));
  if (frame.line != 0) absl::StrAppend(&out, ",\"line\":", frame.line);
  if (frame.column != 0) absl::StrAppend(&out, ",\"column\":", frame.column);
  if (frame.function->start_line != 0) {
    absl::StrAppend(&out, ",\"start_line\":", frame.function->start_line);
  }
  if (!GeneratedName(profile, *frame.function).empty()) {
    absl::StrAppend(&out, ",\"generated\":", JsonText(profile.String(frame.function->system_name)));
  }
  if (frame.image != nullptr) {
    absl::StrAppend(&out, ",\"image\":", JsonText(profile.String(frame.image->path)));
  }
  if (frame.inlined()) absl::StrAppend(&out, ",\"inlined\":true");
  if (arguments != nullptr) {
    std::vector<std::string> values;
    for (const FrameArgument& argument : *arguments) {
      values.push_back(absl::StrCat("{\"name\":", JsonText(argument.name), ",\"value\":",
                                    JsonText(argument.value), "}"));
    }
    absl::StrAppend(&out, ",\"arguments\":[", absl::StrJoin(values, ","), "]");
  }
  return out + "}";
}

std::string CheckFilter(const std::string& filter) { return Filter(filter).Error(); }

std::string StackReportText(const StackReport& report, const Profile& profile,
                            const StackReportOptions& options) {
  const std::vector<const ReportedThread*> wanted = Wanted(report, profile, options);
  // Threads without a whole stack stay by themselves, each for its reason.
  std::vector<std::vector<const ReportedThread*>> groups;
  std::map<std::pair<uint32_t, decltype(ReportedThread::arguments)>, size_t> group_of;
  for (const ReportedThread* thread : wanted) {
    const bool alone = options.one_by_one || !thread->stack.valid() || !thread->trouble.empty();
    const std::pair key(thread->stack.value, thread->arguments);
    auto found = group_of.find(key);
    if (alone || found == group_of.end()) {
      if (!alone) group_of[key] = groups.size();
      groups.push_back({thread});
    } else {
      groups[found->second].push_back(thread);
    }
  }
  if (!options.one_by_one) {
    std::stable_sort(groups.begin(), groups.end(),
                     [](const auto& a, const auto& b) { return a.size() < b.size(); });
  }
  std::string text = absl::StrCat(ShownText(report.title), ", ", report.threads.size(),
                                  report.threads.size() == 1 ? " thread" : " threads");
  if (wanted.size() != report.threads.size()) absl::StrAppend(&text, ", ", wanted.size(), " shown");
  absl::StrAppend(&text, "\n");
  for (const auto& group : groups) {
    const ReportedThread& first = *group[0];
    if (group.size() == 1) {
      const std::string detail = DetailText(first);
      absl::StrAppend(&text, "\nthread ", first.tid, " ", ShownText(first.name),
                      detail.empty() ? "" : ", ", detail, "\n");
    } else {
      std::vector<std::string> ids;
      for (size_t i = 0; i < std::min(group.size(), kMaxThreadsNamed); ++i) {
        ids.push_back(absl::StrCat(group[i]->tid));
      }
      if (group.size() > kMaxThreadsNamed) {
        ids.push_back(absl::StrCat("and ", group.size() - kMaxThreadsNamed, " more"));
      }
      absl::StrAppend(&text, "\n", group.size(), " threads ", absl::StrJoin(ids, ", "), "\n");
      for (const ReportedThread* thread : group) {
        absl::StrAppend(&text, "    ", thread->tid, " ", ShownText(thread->name), ", ",
                        DetailText(*thread), "\n");
      }
    }
    std::vector<std::string> waits;
    for (const ReportedThread* thread : group) {
      std::string wait = WaitText(*thread);
      if (!wait.empty() && std::find(waits.begin(), waits.end(), wait) == waits.end()) {
        waits.push_back(std::move(wait));
      }
    }
    for (const std::string& wait : waits) absl::StrAppend(&text, "    ", wait, "\n");
    if (!first.trouble.empty()) {
      absl::StrAppend(&text, first.stack.valid() ? "  not the whole stack: " : "  no stack: ",
                      ShownText(first.trouble), "\n");
    }
    size_t number = 0;
    for (const StackFrame& frame : FramesOf(profile, first.stack)) {
      const bool marker = frame.function->kind == FrameKind::kMarker;
      absl::StrAppend(&text, marker ? "      " : absl::StrFormat("  #%-2d ", number),
                      FrameText(profile, frame, ArgumentsText(report, first, frame)), "\n");
      if (const std::string generated = GeneratedName(profile, *frame.function);
          !generated.empty()) {
        absl::StrAppend(&text, "        from ", generated, "\n");
      }
      number += !marker;
    }
  }
  for (const std::string& note : report.notes) {
    absl::StrAppend(&text, "\n", ShownText(note), "\n");
  }
  return text;
}

std::string StackReportJson(const StackReport& report, const Profile& profile,
                            const StackReportOptions& options) {
  std::string out = absl::StrCat("{\"title\":", JsonText(report.title), ",\"threads\":[");
  bool first = true;
  for (const ReportedThread* thread : Wanted(report, profile, options)) {
    absl::StrAppend(&out, first ? "\n" : ",\n", "{\"tid\":", thread->tid,
                    ",\"name\":", JsonText(thread->name), ",\"state\":",
                    JsonText(absl::string_view(&thread->state, 1)));
    first = false;
    if (thread->cpu_ns) absl::StrAppend(&out, ",\"cpu_ns\":", *thread->cpu_ns);
    absl::StrAppend(&out, ",\"pause_ns\":", thread->pause_ns);
    if (!thread->waits_in.empty()) absl::StrAppend(&out, ",\"call\":", JsonText(thread->waits_in));
    if (!thread->kernel_function.empty()) {
      absl::StrAppend(&out, ",\"kernel_function\":", JsonText(thread->kernel_function));
    }
    if (!thread->trouble.empty()) {
      absl::StrAppend(&out, ",\"trouble\":", JsonText(thread->trouble));
    }
    std::vector<std::string> frames;
    for (const StackFrame& frame : FramesOf(profile, thread->stack)) {
      frames.push_back(FrameJson(profile, frame, ArgumentsOf(*thread, frame)));
    }
    absl::StrAppend(&out, ",\"frames\":[", absl::StrJoin(frames, ","), "]}");
  }
  std::vector<std::string> notes;
  for (const std::string& note : report.notes) notes.push_back(JsonText(note));
  return absl::StrCat(out, "\n],\"notes\":[", absl::StrJoin(notes, ","), "]}\n");
}

}  // namespace jprof
