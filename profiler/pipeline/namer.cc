#include "profiler/pipeline/namer.h"

#include <fcntl.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "profiler/core/status.h"
#include "profiler/process/target_file.h"
#include "symbolize/debuginfod.h"
#include "symbolize/symbolizer.h"

namespace jprof {
namespace {

constexpr absl::string_view kTruncated = "[truncated]";
constexpr absl::string_view kKernelImage = "[kernel.kallsyms]";

// The first functions of threads, in glibc and musl: a stack that ends in one is whole, even where
// the C library left no 0 in the frame pointer.
bool IsRootFunction(absl::string_view name) {
  static constexpr absl::string_view kRoots[] = {
      "_start",
      "__libc_start_call_main",
      "__libc_start_main",
      "__libc_start_main_impl",
      "start_thread",
      "clone",
      "__clone",
      "clone3",
      "__clone3",
      "_start_c",
      "libc_start_main_stage2",
  };
  name = name.substr(0, name.find('@'));
  return std::find(std::begin(kRoots), std::end(kRoots), name) != std::end(kRoots);
}

// A distribution's C library has no symbols for its start-up code. A stack that ends in it right
// below its base (WalkEnd::kNearBase) ends there.
bool IsCLibrary(absl::string_view base_name) {
  for (absl::string_view prefix : {"libc.so", "libc-2", "libpthread", "ld-musl", "libc.musl"}) {
    if (absl::StartsWith(base_name, prefix)) return true;
  }
  return false;
}

absl::string_view BaseName(absl::string_view path) {
  return path.substr(path.rfind('/') == absl::string_view::npos ? 0 : path.rfind('/') + 1);
}

std::string WhyUnnamed(const PinnedImage& image, const ImageQuery& query) {
  if (!image.identity.valid()) return "the kernel's code in the process has no file";
  if (!image.unopened_why.empty()) return image.unopened_why;
  if (query.is_stripped) {
    return absl::StrCat(
        "its file is stripped of all but exported symbols, and its debug file was not found; install "
        "that (its package's -dbgsym or -debuginfo)",
        Debuginfod::IsConfigured() ? ", since none came from $DEBUGINFOD_URLS"
                                   : ", or set DEBUGINFOD_URLS");
  }
  if (!query.status.ok()) return std::string(query.status.message());
  return "no symbol of its file covers it";
}

absl::string_view WhyTruncated(WalkEnd end) {
  switch (end) {
    case WalkEnd::kDepthLimit:
      return "deeper than the walk's limit of 512 frames";
    case WalkEnd::kUnreadable:
      return "the frame pointer led to memory that could not be read: not resident, or not mapped";
    case WalkEnd::kNoRule:
      return "its call-frame information says what jprof's walk cannot follow";
    case WalkEnd::kNot64Bit:
      return "it is 32-bit code, whose frames jprof does not know";
    case WalkEnd::kNotAscending:
    case WalkEnd::kUnaligned:
    case WalkEnd::kNotUserAddress:
    case WalkEnd::kNearBase:
    case WalkEnd::kRoot:
    case WalkEnd::kNoUserStack:
      break;
  }
  return "the frame pointer held something else, and no call-frame table told: it was not made yet, or "
         "that code has none and is to be built with -fasynchronous-unwind-tables or "
         "-fno-omit-frame-pointer";
}

// Debug files of some images, with all that it takes to find them: whoever asks for them may still
// do so when the images are gone (naming_deadline.h).
class Finder : public DebugFileFinder {
 public:
  Finder(std::vector<DebugFiles::Place> places, std::vector<std::shared_ptr<const UniqueFd>> roots,
         std::unique_ptr<Debuginfod> debuginfod, DebugFiles::Opener open)
      : roots_(std::move(roots)),
        debuginfod_(std::move(debuginfod)),
        files_(std::move(places), debuginfod_.get(), std::move(open)) {}

  std::vector<UniqueFd> Find(size_t image, const Request& request) override {
    return files_.Find(image, request);
  }
  std::string Trouble() const { return debuginfod_ == nullptr ? "" : debuginfod_->Trouble(); }

 private:
  const std::vector<std::shared_ptr<const UniqueFd>> roots_;  // that the places are in
  const std::unique_ptr<Debuginfod> debuginfod_;
  DebugFiles files_;
};

}  // namespace

Namer::Namer(const FrameTable& frames, const PinnedImages& images, const BuiltinCodes& builtins,
             ProfileBuilder& builder, KernelNames& kernel, const NamerOptions& options)
    : frames_(frames), images_(images), builder_(builder) {
  if (options.stacks != nullptr) FindUsed(*options.stacks);
  NameFrames(frames, builtins, kernel, options);
  BuildStacks();
}

LocationId Namer::Place(ImageId image, uint64_t address, absl::string_view name,
                        absl::string_view system_name, absl::string_view file, uint32_t start_line,
                        FrameKind kind) {
  const Line line{builder_.AddFunction(name, system_name, file, start_line, kind), 0, 0};
  return builder_.AddLocation(image, address, {&line, 1});
}

UniqueFd Namer::FileOf(uint32_t image, const NamerOptions& options, absl::Status& status) const {
  UniqueFd* file = images_.images[image].file.get();
  if (file == nullptr) return UniqueFd();
  if (IsPathOnly(*file)) {
    absl::StatusOr<UniqueFd> opened = options.files.open_again(*file, images_.images[image].path);
    if (!options.goes_on) *file = UniqueFd();
    status = opened.status();
    return opened.ok() ? *std::move(opened) : UniqueFd();
  }
  if (!options.goes_on) return std::move(*file);
  return UniqueFd(::fcntl(file->get(), F_DUPFD_CLOEXEC, 0));
}

void Namer::Symbolize(std::vector<ImageQuery>& asked, const std::vector<uint32_t>& numbers,
                      const NamerOptions& options) {
  std::vector<DebugFiles::Place> places;
  std::vector<absl::Status> opened(asked.size());
  for (size_t i = 0; i < asked.size(); ++i) {
    const PinnedImage& image = images_.images[numbers[i]];
    asked[i].file = FileOf(numbers[i], options, opened[i]);
    const bool in_root = image.root != 0 && image.root != ImageTable::kNone;
    places.push_back({.path = image.path,
                      .root = in_root ? images_.roots[image.root].get() : nullptr,
                      .on_host = image.root == 0});
  }
  const auto finder = std::make_shared<Finder>(
      std::move(places), images_.roots, options.goes_on ? nullptr : Debuginfod::FromEnvironment(),
      options.files.open_debug_file);
  if (options.symbolize) {
    options.symbolize(asked, options.threads, finder.get());
  } else {
    SymbolizeImages(asked, options.threads, finder.get());
  }
  for (size_t i = 0; i < asked.size(); ++i) {
    if (!opened[i].ok()) asked[i].status = opened[i];
  }
  const auto exhausted = std::count_if(asked.begin(), asked.end(),
                                       [](const ImageQuery& query) { return query.exhausted; });
  if (exhausted > 0) {
    troubles_.push_back(absl::StrCat(
        exhausted, " mapped files would take too long to read: names, inlined functions, lines or "
                   "parameters of theirs are missing"));
  }
  const auto lost = std::count_if(asked.begin(), asked.end(),
                                  [](const ImageQuery& query) { return query.lost; });
  if (lost > 0) {
    troubles_.push_back(absl::StrCat(
        lost, " mapped files have no names: the process that read them for jprof ended, or did not "
              "answer; they may be damaged, or made to do that"));
  }
  auto is_unread = [](const ImageQuery& query) { return query.unread; };
  if (const auto unread = std::count_if(asked.begin(), asked.end(), is_unread); unread > 0) {
    const absl::Status& status = std::find_if(asked.begin(), asked.end(), is_unread)->status;
    const std::string hint = HintOf(status);
    troubles_.push_back(absl::StrCat(unread, " mapped files have no names: ", status.message(),
                                     hint.empty() ? "" : "; ", hint));
  }
  if (std::string trouble = finder->Trouble(); !trouble.empty()) {
    troubles_.push_back(std::move(trouble));
  }
}

void Namer::SymbolizeNew(std::vector<ImageQuery>& asked, const std::vector<uint32_t>& numbers,
                         const NamerOptions& options) {
  SymbolCache& cache = *options.cache;
  cache.MakeRoom();
  if (!options.goes_on) cache.ForgetDoubtful(Debuginfod::FromEnvironment() != nullptr);
  std::vector<ImageQuery> missing;
  std::vector<uint32_t> missing_numbers;
  for (size_t i = 0; i < asked.size(); ++i) {
    if (images_.images[numbers[i]].file == nullptr) continue;  // it may be opened yet
    std::vector<FileOffset> offsets = cache.Missing(numbers[i], asked[i].offsets);
    if (offsets.empty()) continue;
    ImageQuery query;
    query.path = asked[i].path;
    query.offsets = std::move(offsets);
    missing.push_back(std::move(query));
    missing_numbers.push_back(numbers[i]);
  }
  if (!missing.empty()) Symbolize(missing, missing_numbers, options);
  for (size_t i = 0; i < missing.size(); ++i) cache.Add(missing_numbers[i], missing[i]);
  for (size_t i = 0; i < asked.size(); ++i) cache.Fill(numbers[i], asked[i]);
}

void Namer::FindUsed(const std::vector<uint32_t>& stacks) {
  used_frames_.resize(frames_.frames().size());
  used_stacks_.resize(frames_.stacks().size());
  for (uint32_t stack : stacks) {
    for (uint32_t at = stack; at != FrameTable::kNoStack && !used_stacks_[at];
         at = frames_.stacks()[at].caller) {
      used_stacks_[at] = true;
      used_frames_[frames_.stacks()[at].frame] = true;
    }
  }
}

std::vector<Line> Namer::SourceLines(const ImageQuery& query, size_t at, bool inlines) {
  const SourceInfo& source = query.source;
  std::span<const SourceFrame> frames = source.FramesOf(at);
  if (!inlines && !frames.empty()) frames = frames.last(1);
  std::vector<Line> lines;
  for (size_t i = 0; i < frames.size(); ++i) {
    const SourceFunction& function = source.functions[frames[i].function];
    absl::string_view name = function.name;
    absl::string_view system_name =
        function.linkage_name.empty() ? function.name : function.linkage_name;
    // The symbol is that of the physical function.
    const SymbolName& symbol = query.names[at];
    if (i + 1 == frames.size() && IsBetterName(symbol, function)) {
      name = symbol.name;
      system_name = symbol.system_name;
    }
    if (name.empty()) return {};
    lines.push_back({builder_.AddFunction(name, system_name, source.files[frames[i].file],
                                          function.line, FrameKind::kNative),
                     frames[i].line, frames[i].column});
  }
  return lines;
}

Line Namer::ScriptLine(const PendingLine& line, const OriginalNames* originals) {
  const PendingName& name = frames_.names()[line.name];
  const OriginalNames::Function* original =
      originals == nullptr ? nullptr : originals->Of(line.name);
  if (original == nullptr) {
    return {builder_.AddFunction(name.name, name.name, name.file, name.start_line, name.kind),
            line.line, line.column};
  }
  const OriginalNames::Position at = originals->Of(line);
  const FrameKind kind = original->of_others && name.kind == FrameKind::kScript
                           ? FrameKind::kLibraryScript
                           : name.kind;
  return {builder_.AddFunction(original->name, original->generated, original->file, original->line,
                               kind),
          at.line, at.column};
}

void Namer::NameFrames(const FrameTable& frames, const BuiltinCodes& builtins,
                       KernelNames& kernel_names, const NamerOptions& options) {
  // What is to be asked of each image.
  std::vector<ImageQuery> queries(images_.images.size());
  std::vector<uint64_t> kernel_addresses;
  auto is_used = [this](size_t index) { return used_frames_.empty() || used_frames_[index]; };
  for (size_t i = 0; i < frames.frames().size(); ++i) {
    const PendingFrame& frame = frames.frames()[i];
    if (!is_used(i)) continue;
    if (frame.kind == PendingFrame::Kind::kImage || frame.kind == PendingFrame::Kind::kBuiltin) {
      queries[frame.index].offsets.push_back({frame.value});
    }
    if (frame.kind == PendingFrame::Kind::kKernel) kernel_addresses.push_back(frame.value);
  }
  std::vector<ImageQuery> asked;
  std::vector<uint32_t> numbers;  // of the images asked for
  std::vector<uint32_t> asked_index(queries.size(), UINT32_MAX);
  for (size_t i = 0; i < queries.size(); ++i) {
    if (queries[i].offsets.empty()) continue;
    std::sort(queries[i].offsets.begin(), queries[i].offsets.end());
    queries[i].offsets.erase(std::unique(queries[i].offsets.begin(), queries[i].offsets.end()),
                             queries[i].offsets.end());
    queries[i].path = images_.images[i].path;
    queries[i].want_values = options.values != nullptr;
    queries[i].want_source = options.inlines || options.lines || queries[i].want_values;
    numbers.push_back(static_cast<uint32_t>(i));
    asked_index[i] = static_cast<uint32_t>(asked.size());
    asked.push_back(std::move(queries[i]));
  }

  if (options.cache == nullptr) {
    Symbolize(asked, numbers, options);
  } else {
    SymbolizeNew(asked, numbers, options);
  }
  for (size_t i = 0; options.values != nullptr && i < asked.size(); ++i) {
    ImageValues& found = (*options.values)[numbers[i]];
    found.offsets = asked[i].offsets;
    for (const SymbolName& name : asked[i].names) found.addresses.push_back(name.address);
    found.values = std::move(asked[i].values);
  }
  const absl::Status kernel = kernel_addresses.empty()
                                  ? absl::OkStatus()
                                  : kernel_names.Learn(kernel_addresses, options.now_ns);

  auto image_id = [&](uint32_t index) {
    const PinnedImage& image = images_.images[index];
    return builder_.AddImage(image.path, asked[asked_index[index]].build_id, image.base,
                             image.limit, 0);
  };

  named_.reserve(frames.frames().size());
  for (size_t i = 0; i < frames.frames().size(); ++i) {
    const PendingFrame& frame = frames.frames()[i];
    NamedFrame named;
    if (!is_used(i)) {
      named_.push_back(named);
      continue;
    }
    named.counts.frames = 1;
    switch (frame.kind) {
      case PendingFrame::Kind::kKernel: {
        const ImageId image = builder_.AddImage(kKernelImage, "", 0, 0, 0);
        const Kallsyms::Match match = kernel_names.Find(frame.value);
        if (match.name.empty()) {
          named.counts.unnamed = 1;
          named.location =
              Place(image, frame.value, "[unknown] [kernel]", "", "", 0, FrameKind::kKernel);
          SetUnnamed(named, "[unknown] [kernel]",
                     kernel.ok() ? "no symbol of the kernel's lies near: a module or BPF program "
                                   "that is gone, or code that the kernel made"
                                 : absl::StrCat(kernel.message(), "; ", HintOf(kernel)));
        } else {
          const ImageId module =
              match.module.empty()
                  ? image
                  : builder_.AddImage(absl::StrCat("[", match.module, "]"), "", 0, 0, 0);
          named.location =
              Place(module, frame.value, match.name, match.name, "", 0, FrameKind::kKernel);
        }
        break;
      }
      case PendingFrame::Kind::kLocated: {
        std::vector<Line> lines;
        for (const PendingLine& line : frames.lines()[frame.index]) {
          lines.push_back(ScriptLine(line, options.originals));
        }
        const PendingName& outer = frames.names()[frames.lines()[frame.index].back().name];
        named.counts.frames = static_cast<uint32_t>(lines.size());
        named.counts.script = named.counts.frames;
        named.location =
            builder_.AddLocation(builder_.AddImage(outer.image, "", 0, 0, 0), 0, lines);
        break;
      }
      case PendingFrame::Kind::kDumped:  // in no sample's stack any more
        named.counts = {};
        break;
      case PendingFrame::Kind::kTruncation:
        named.counts = {};
        named.is_truncation = true;
        named.end = static_cast<WalkEnd>(frame.value);
        named.location = Place(ImageId{}, 0, kTruncated, kTruncated, "", 0, FrameKind::kMarker);
        break;
      case PendingFrame::Kind::kNamed:
      case PendingFrame::Kind::kUnknown: {
        const PendingName& name = frames.names()[frame.index];
        const bool unnamed = frame.kind == PendingFrame::Kind::kUnknown;
        if (name.name.empty()) {
          named.counts = {};
          break;
        }
        if (unnamed) SetUnnamed(named, name.name, name.why);
        named.counts = {
            .frames = 1,
            .unnamed = unnamed,
            .script = name.kind == FrameKind::kScript || name.kind == FrameKind::kWasm ||
                      name.kind == FrameKind::kAsync ||
                      (unnamed && !name.image.empty()),
            .script_unnamed = unnamed && !name.image.empty(),
            .script_unreadable = name.loss == ScriptLoss::kUnreadable,
            .script_corrupt = name.loss == ScriptLoss::kCorrupt,
            .script_stale = name.loss == ScriptLoss::kStale};
        if (name.kind == FrameKind::kMarker) named.counts = {};
        const ImageId image =
            name.image.empty() ? ImageId{} : builder_.AddImage(name.image, "", 0, 0, 0);
        const Line line = ScriptLine({.name = frame.index}, options.originals);
        named.location = builder_.AddLocation(image, 0, {&line, 1});
        break;
      }
      case PendingFrame::Kind::kImage:
      case PendingFrame::Kind::kBuiltin: {
        const PinnedImage& pinned = images_.images[frame.index];
        const ImageQuery& query = asked[asked_index[frame.index]];
        const size_t at = static_cast<size_t>(
            std::lower_bound(query.offsets.begin(), query.offsets.end(), FileOffset{frame.value}) -
            query.offsets.begin());
        SymbolName symbol = at < query.names.size() ? query.names[at] : SymbolName{};
        const uint64_t address = pinned.base + frame.value;
        named.image = frame.index;
        named.in_c_library = IsCLibrary(BaseName(pinned.path));
        const auto builtin_code = builtins.find(static_cast<uint32_t>(i));
        const Runtime* runtime =
            builtin_code == builtins.end() ? nullptr : builtin_code->second.runtime;
        if (runtime != nullptr && symbol.name.empty()) {
          symbol.name = symbol.system_name = builtin_code->second.symbol;
        }
        if (runtime != nullptr && symbol.name.empty()) {
          if (builtin_code->second.is_plumbing) {
            named.counts = {};
            break;
          }
          named.counts.unnamed = 1;
          const std::string what = absl::StrCat("[", runtime->name(), " builtin]");
          named.location =
              Place(image_id(frame.index), address, what, "", "", 0, FrameKind::kBuiltin);
          SetUnnamed(named, what, WhyUnnamed(pinned, query));
          break;
        }
        if (runtime != nullptr) {
          auto builtin = runtime->DescribeBuiltin(symbol.name);
          if (!builtin) {
            named.counts = {};
            break;
          }
          named.location = Place(image_id(frame.index), address, builtin->name, symbol.system_name,
                                 builtin->file, 0, builtin->kind);
          break;
        }
        const std::vector<Line> lines = SourceLines(query, at, options.inlines);
        if (!lines.empty()) {
          named.counts.frames = static_cast<uint32_t>(lines.size());
          named.is_root_function = IsRootFunction(symbol.system_name);
          named.location = builder_.AddLocation(image_id(frame.index), address, lines);
          break;
        }
        if (symbol.name.empty()) {
          named.counts.unnamed = 1;
          named.location =
              Place(image_id(frame.index), address,
                    absl::StrFormat("[unknown] %s+0x%x", BaseName(pinned.path), frame.value), "",
                    "", 0, FrameKind::kUnknown);
          SetUnnamed(named, absl::StrCat("[unknown] ", BaseName(pinned.path)),
                     WhyUnnamed(pinned, query));
          break;
        }
        named.is_root_function = IsRootFunction(symbol.system_name);
        named.location = Place(image_id(frame.index), address, symbol.name, symbol.system_name, "",
                               0, FrameKind::kNative);
        break;
      }
    }
    named_.push_back(named);
  }
}

void Namer::BuildStacks() {
  stacks_.reserve(frames_.stacks().size());
  for (size_t i = 0; i < frames_.stacks().size(); ++i) {
    const FrameTable::Node& node = frames_.stacks()[i];
    NamedStack result;
    if (!used_stacks_.empty() && !used_stacks_[i]) {
      stacks_.push_back(result);
      continue;
    }
    const NamedFrame& frame = named_[node.frame];
    if (node.caller != FrameTable::kNoStack) result = stacks_[node.caller];
    if (frame.is_truncation) {
      result.stack.rooted = false;
      result.truncation = &frame;
    } else if (frame.location.valid()) {
      if (result.truncation != nullptr) {
        if (frame.is_root_function ||
            (frame.in_c_library && result.truncation->end == WalkEnd::kNearBase)) {
          result.stack.rooted = true;
        } else {
          result.stack.id = builder_.AddStack(result.stack.id, result.truncation->location);
        }
        result.truncation = nullptr;
      }
      result.stack.id = builder_.AddStack(result.stack.id, frame.location);
      Counts& counts = result.stack.counts;
      counts.frames += frame.counts.frames;
      counts.unnamed += frame.counts.unnamed;
      counts.script += frame.counts.script;
      counts.script_unnamed += frame.counts.script_unnamed;
      counts.script_unreadable += frame.counts.script_unreadable;
      counts.script_corrupt += frame.counts.script_corrupt;
      counts.script_stale += frame.counts.script_stale;
    }
    stacks_.push_back(result);
  }
}

void Namer::SetUnnamed(NamedFrame& frame, std::string what, std::string why) {
  auto [it, added] = reason_ids_.try_emplace(std::pair(std::move(what), std::move(why)),
                                             static_cast<uint32_t>(reasons_.size()));
  if (added) reasons_.push_back({it->first.first, it->first.second, 0, 0});
  frame.reason = it->second;
}

std::string Namer::WhyTruncatedAbove(uint32_t image, WalkEnd end) const {
  if (image == UINT32_MAX) return std::string(WhyTruncated(end));
  const PinnedImage& last = images_.images[image];
  std::string why = absl::StrCat("above a frame of ", BaseName(last.path), ", ", WhyTruncated(end));
  if (!last.unopened_why.empty()) absl::StrAppend(&why, " (its file: ", last.unopened_why, ")");
  return why;
}

std::vector<UnnamedFrames> Namer::Explain(std::vector<SampledStack> stacks) const {
  std::vector<UnnamedFrames> result = reasons_;
  std::vector<size_t> last_stack(result.size(), SIZE_MAX);  // that was counted
  std::map<std::string, uint64_t> truncations;  // samples by reason
  std::sort(stacks.begin(), stacks.end());
  for (size_t first = 0, end; first < stacks.size(); first = end) {
    const uint32_t stack = stacks[first].first;
    uint64_t samples = 0;
    for (end = first; end < stacks.size() && stacks[end].first == stack; ++end) {
      samples += stacks[end].second;
    }
    uint32_t above = UINT32_MAX;  // image of the outermost frame
    for (uint32_t at = stack; at != FrameTable::kNoStack; at = frames_.stacks()[at].caller) {
      const NamedFrame& frame = named_[frames_.stacks()[at].frame];
      if (frame.is_truncation) {
        if (!stacks_[stack].stack.rooted) {
          truncations[WhyTruncatedAbove(above, frame.end)] += samples;
        }
        continue;
      }
      if (frame.location.valid()) above = frame.image;
      if (frame.reason == kNamed) continue;
      UnnamedFrames& unnamed = result[frame.reason];
      unnamed.frames += samples;
      if (std::exchange(last_stack[frame.reason], first) != first) unnamed.samples += samples;
    }
  }
  for (const auto& [why, samples] : truncations) {
    result.push_back({std::string(kTruncated), why, samples, 0});
  }
  std::erase_if(result, [](const UnnamedFrames& u) { return u.samples == 0; });
  return result;
}

}  // namespace jprof
