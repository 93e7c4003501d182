#include "profiler/pipeline/namer.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
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

}  // namespace

Namer::Namer(const FrameTable& frames, ImageTable& images, const RuntimeTable& runtimes,
             ProfileBuilder& builder, KernelNames& kernel, int threads)
    : builder_(builder) {
  NameFrames(frames, images, runtimes, kernel, threads);
  BuildStacks(frames);
}

LocationId Namer::Place(ImageId image, uint64_t address, absl::string_view name,
                        absl::string_view system_name, absl::string_view file, uint32_t start_line,
                        FrameKind kind) {
  const Line line{builder_.AddFunction(name, system_name, file, start_line, kind), 0, 0};
  return builder_.AddLocation(image, address, {&line, 1});
}

void Namer::NameFrames(const FrameTable& frames, ImageTable& images, const RuntimeTable& runtimes,
                       KernelNames& kernel_names, int threads) {
  // What is to be asked of each image.
  std::vector<ImageQuery> queries(images.images().size());
  std::vector<uint64_t> kernel_addresses;
  for (const PendingFrame& frame : frames.frames()) {
    if (frame.kind == PendingFrame::Kind::kImage || frame.kind == PendingFrame::Kind::kBuiltin) {
      queries[frame.index].offsets.push_back({frame.value});
    }
    if (frame.kind == PendingFrame::Kind::kKernel) kernel_addresses.push_back(frame.value);
  }
  std::vector<ImageQuery> asked;
  std::vector<uint32_t> asked_index(queries.size(), UINT32_MAX);
  for (size_t i = 0; i < queries.size(); ++i) {
    if (queries[i].offsets.empty()) continue;
    std::sort(queries[i].offsets.begin(), queries[i].offsets.end());
    queries[i].offsets.erase(std::unique(queries[i].offsets.begin(), queries[i].offsets.end()),
                             queries[i].offsets.end());
    queries[i].path = images.images()[i].path;
    queries[i].file = std::move(images.images()[i].file);
    asked_index[i] = static_cast<uint32_t>(asked.size());
    asked.push_back(std::move(queries[i]));
  }

  SymbolizeImages(asked, threads);
  const KernelSymbols* kernel =
      kernel_addresses.empty() ? nullptr : kernel_names.Get(kernel_addresses);

  auto image_id = [&](uint32_t index) {
    const PinnedImage& image = images.images()[index];
    return builder_.AddImage(image.path, asked[asked_index[index]].build_id, image.base,
                             image.limit, 0);
  };

  named_.reserve(frames.frames().size());
  for (const PendingFrame& frame : frames.frames()) {
    NamedFrame named;
    named.counts.frames = 1;
    switch (frame.kind) {
      case PendingFrame::Kind::kKernel: {
        const ImageId image = builder_.AddImage(kKernelImage, "", 0, 0, 0);
        const KernelSymbols::Match match =
            kernel ? kernel->Find(frame.value) : KernelSymbols::Match{};
        if (match.name.empty()) {
          named.counts.unnamed = 1;
          named.location =
              Place(image, frame.value, "[unknown] [kernel]", "", "", 0, FrameKind::kKernel);
        } else {
          named.location =
              Place(image, frame.value, match.name, match.name, "", 0, FrameKind::kKernel);
        }
        break;
      }
      case PendingFrame::Kind::kLocated: {
        std::vector<Line> lines;
        for (const PendingLine& line : frames.lines()[frame.index]) {
          const PendingName& name = frames.names()[line.name];
          lines.push_back(
              {builder_.AddFunction(name.name, name.name, name.file, name.start_line, name.kind),
               line.line, line.column});
        }
        const PendingName& outer = frames.names()[frames.lines()[frame.index].back().name];
        named.counts.frames = static_cast<uint32_t>(lines.size());
        named.counts.script = named.counts.frames;
        named.location =
            builder_.AddLocation(builder_.AddImage(outer.image, "", 0, 0, 0), 0, lines);
        break;
      }
      case PendingFrame::Kind::kTruncation:
        named.counts = {};
        named.is_truncation = true;
        named.is_near_base = frame.value != 0;
        named.location = Place(ImageId{}, 0, kTruncated, kTruncated, "", 0, FrameKind::kMarker);
        break;
      case PendingFrame::Kind::kNamed:
      case PendingFrame::Kind::kUnknown: {
        const PendingName& name = frames.names()[frame.index];
        const bool unnamed = frame.kind == PendingFrame::Kind::kUnknown;
        named.counts = {
            .frames = 1,
            .unnamed = unnamed,
            .script = name.kind == FrameKind::kScript || (unnamed && !name.image.empty()),
            .script_unnamed = unnamed && !name.image.empty()};
        const ImageId image =
            name.image.empty() ? ImageId{} : builder_.AddImage(name.image, "", 0, 0, 0);
        named.location =
            Place(image, 0, name.name, name.name, name.file, name.start_line, name.kind);
        break;
      }
      case PendingFrame::Kind::kImage:
      case PendingFrame::Kind::kBuiltin: {
        const PinnedImage& pinned = images.images()[frame.index];
        const ImageQuery& query = asked[asked_index[frame.index]];
        const size_t at = static_cast<size_t>(
            std::lower_bound(query.offsets.begin(), query.offsets.end(), FileOffset{frame.value}) -
            query.offsets.begin());
        const SymbolName symbol = at < query.names.size() ? query.names[at] : SymbolName{};
        const uint64_t address = pinned.base + frame.value;
        named.in_c_library = IsCLibrary(BaseName(pinned.path));
        const Runtime* runtime = frame.kind == PendingFrame::Kind::kBuiltin
                                     ? runtimes.RuntimeByNumber(frame.runtime)
                                     : nullptr;
        if (runtime != nullptr && symbol.name.empty()) {
          if (runtimes.IsPlumbing(pinned.identity, {frame.value})) {
            named.counts = {};
            break;
          }
          named.counts.unnamed = 1;
          named.location =
              Place(image_id(frame.index), address, absl::StrCat("[", runtime->name(), " builtin]"),
                    "", "", 0, FrameKind::kBuiltin);
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
        if (symbol.name.empty()) {
          named.counts.unnamed = 1;
          named.location =
              Place(image_id(frame.index), address,
                    absl::StrFormat("[unknown] %s+0x%x", BaseName(pinned.path), frame.value), "",
                    "", 0, FrameKind::kUnknown);
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

void Namer::BuildStacks(const FrameTable& frames) {
  stacks_.reserve(frames.stacks().size());
  for (const FrameTable::Node& node : frames.stacks()) {
    const NamedFrame& frame = named_[node.frame];
    NamedStack result;
    if (node.caller != FrameTable::kNoStack) result = stacks_[node.caller];
    if (frame.is_truncation) {
      result.stack.rooted = false;
      result.truncation = &frame;
    } else if (frame.location.valid()) {
      if (result.truncation != nullptr) {
        if (frame.is_root_function || (frame.in_c_library && result.truncation->is_near_base)) {
          result.stack.rooted = true;
        } else {
          result.stack.id = builder_.AddStack(StackId{}, result.truncation->location);
        }
        result.truncation = nullptr;
      }
      result.stack.id = builder_.AddStack(result.stack.id, frame.location);
      Counts& counts = result.stack.counts;
      counts.frames += frame.counts.frames;
      counts.unnamed += frame.counts.unnamed;
      counts.script += frame.counts.script;
      counts.script_unnamed += frame.counts.script_unnamed;
    }
    stacks_.push_back(result);
  }
}

}  // namespace jprof
