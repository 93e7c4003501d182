// The end of a recording: names every frame that was kept, once, and turns the recording's stacks
// into the profile's.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "helpers/runtime.h"
#include "profiler/core/profile_builder.h"
#include "profiler/pipeline/debug_files.h"
#include "profiler/pipeline/frame_table.h"
#include "profiler/pipeline/image_table.h"
#include "profiler/pipeline/kernel_names.h"
#include "profiler/pipeline/original_names.h"
#include "profiler/pipeline/symbol_cache.h"
#include "symbolize/symbolizer.h"

namespace jprof {

// As SymbolizeImages() does it, with that many threads.
using SymbolizeFunction =
    std::function<void(std::vector<ImageQuery>& queries, int threads, DebugFileFinder* finder)>;

// What was found of an image for reading parameters.
struct ImageValues {
  std::vector<FileOffset> offsets;  // sorted
  std::vector<uint64_t> addresses;  // in the file, of each offset
  FrameValues values;               // `at` is empty, or has one for each offset
};
using ValuesByImage = absl::flat_hash_map<uint32_t, ImageValues>;  // by number in the ImageTable

// How the files of images are opened, by any thread.
struct ImageFiles {
  // For reading, of a pinned file that is path-only (target_file.h); empty: there are none.
  std::function<absl::StatusOr<UniqueFd>(const UniqueFd& path_only, const std::string& path)>
      open_again = nullptr;
  DebugFiles::Opener open_debug_file = nullptr;  // as DebugFiles has it
};

struct NamerOptions {
  int threads = 1;
  bool inlines = false;  // inlined functions of native code are frames of their own
  bool lines = false;    // native code has executing lines
  SymbolizeFunction symbolize;  // empty: SymbolizeImages
  ImageFiles files = {};
  // Images are asked what is not in here; nullptr: all.
  SymbolCache* cache = nullptr;
  // Of a recording that goes on: images stay open, and servers are not asked.
  bool goes_on = false;
  // Only these stacks of the FrameTable are named; nullptr: all.
  const std::vector<uint32_t>* stacks = nullptr;
  uint64_t now_ns = 0;  // for KernelNames
  ValuesByImage* values = nullptr;  // filled; nullptr: not of interest
  const OriginalNames* originals = nullptr;  // of functions of scripts; nullptr: none are shown
};

// What a runtime knows of its own code in a mapped file.
struct BuiltinCode {
  const Runtime* runtime = nullptr;
  std::string symbol;        // that the file need not have; "": not known
  bool is_plumbing = false;  // left out of the picture when no symbol says what it is
};
// By kBuiltin frame.
using BuiltinCodes = absl::flat_hash_map<uint32_t, BuiltinCode>;

class Namer {
 public:
  struct Counts {
    uint32_t frames = 0;
    uint32_t unnamed = 0;
    uint32_t script = 0;
    uint32_t script_unnamed = 0;
    uint32_t script_unreadable = 0;
    uint32_t script_corrupt = 0;
    uint32_t script_stale = 0;
  };
  struct Stack {
    StackId id;          // invalid for the empty stack
    bool rooted = true;  // reaches a thread's first function
    Counts counts;       // of the frames shown
  };

  // Reads each image and, when the recording is over, closes it. `frames`, `images` and
  // `builder` outlive the namer.
  Namer(const FrameTable& frames, const PinnedImages& images, const BuiltinCodes& builtins,
        ProfileBuilder& builder, KernelNames& kernel, const NamerOptions& options);

  // `node` is a stack of the FrameTable, or kNoStack.
  Stack Find(uint32_t node) const {
    return node == FrameTable::kNoStack ? Stack{} : stacks_[node].stack;
  }

  // What went wrong with files and servers, for the user.
  const std::vector<std::string>& troubles() const { return troubles_; }

  // A stack of the FrameTable, or kNoStack, and samples that have it.
  using SampledStack = std::pair<uint32_t, uint64_t>;
  // What has no name in these, and why. A stack may be in it several times.
  std::vector<UnnamedFrames> Explain(std::vector<SampledStack> stacks) const;

 private:
  static constexpr uint32_t kNamed = UINT32_MAX;
  struct NamedFrame {
    LocationId location;  // invalid: left out of the picture
    Counts counts;
    bool is_root_function = false;
    bool in_c_library = false;
    bool is_truncation = false;
    WalkEnd end = WalkEnd::kRoot;  // of a truncation
    uint32_t image = UINT32_MAX;   // into images_
    uint32_t reason = kNamed;      // into reasons_
  };
  struct NamedStack {
    Stack stack;
    const NamedFrame* truncation = nullptr;  // the marker, still to be placed above the next frame
  };

  void NameFrames(const FrameTable& frames, const BuiltinCodes& builtins,
                  KernelNames& kernel_names, const NamerOptions& options);
  void Symbolize(std::vector<ImageQuery>& asked, const std::vector<uint32_t>& numbers,
                 const NamerOptions& options);
  // The same through NamerOptions::cache.
  void SymbolizeNew(std::vector<ImageQuery>& asked, const std::vector<uint32_t>& numbers,
                    const NamerOptions& options);
  // Of an image, to be read; invalid: it could not be opened, `status` says why.
  UniqueFd FileOf(uint32_t image, const NamerOptions& options, absl::Status& status) const;
  // What DWARF says of an offset, innermost first; empty: nothing.
  std::vector<Line> SourceLines(const ImageQuery& query, size_t at, bool inlines);
  void FindUsed(const std::vector<uint32_t>& stacks);
  // A line of a kLocated frame, or of a kNamed one.
  Line ScriptLine(const PendingLine& line, const OriginalNames* originals);
  void BuildStacks();
  // `image`: of the last frame, into images_; UINT32_MAX: of none.
  std::string WhyTruncatedAbove(uint32_t image, WalkEnd end) const;
  void SetUnnamed(NamedFrame& frame, std::string what, std::string why);
  LocationId Place(ImageId image, uint64_t address, absl::string_view name,
                   absl::string_view system_name, absl::string_view file, uint32_t start_line,
                   FrameKind kind);

  const FrameTable& frames_;
  const PinnedImages& images_;
  ProfileBuilder& builder_;
  std::vector<std::string> troubles_;
  std::vector<UnnamedFrames> reasons_;  // without counts
  absl::flat_hash_map<std::pair<std::string, std::string>, uint32_t> reason_ids_;
  // By frame and by stack of the FrameTable; empty: all.
  std::vector<bool> used_frames_;
  std::vector<bool> used_stacks_;
  std::vector<NamedFrame> named_;   // as FrameTable::frames()
  std::vector<NamedStack> stacks_;  // as FrameTable::stacks()
};

}  // namespace jprof
