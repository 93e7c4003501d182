#include "export/code_kind.h"

#include <span>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "export/tracks.h"

namespace jprof {
namespace {

constexpr absl::string_view kModules = "node_modules/";

bool IsModule(absl::string_view file) {
  return absl::StrContains(file, "/node_modules/") || absl::StartsWith(file, kModules);
}

// V8 says nowhere that a function collects garbage; these parts of names do, in all its versions.
// Its own profiler has one frame for it all.
bool CollectsGarbage(absl::string_view name) {
  if (name == "(garbage collector)") return true;
  constexpr absl::string_view kOwners[] = {"v8::internal::", "cppgc::"};
  constexpr absl::string_view kParts[] = {
      "CollectGarbage", "GarbageCollect", "Scaveng",  "MarkCompact", "MarkSweep", "Sweeper",
      "Marking",        "Marker",         "Evacuat",  "MinorGC",     "GCTracer",  "PointersUpdat",
      "PointersRef",    "WeakObjects",    "Unmapper", "HeapVisitor", "YoungGeneration"};
  for (absl::string_view owner : kOwners) {
    if (!absl::StrContains(name, owner)) continue;
    for (absl::string_view part : kParts) {
      if (absl::StrContains(name, part)) return true;
    }
  }
  return false;
}

absl::string_view BaseName(absl::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string ScriptPackage(absl::string_view file) {
  if (absl::StartsWith(file, "node:")) return "node";
  if (IsModule(file)) {
    absl::string_view rest = file.substr(file.rfind(kModules) + kModules.size());
    size_t end = rest.find('/');
    if (!rest.empty() && rest[0] == '@' && end != absl::string_view::npos) {
      end = rest.find('/', end + 1);
    }
    return std::string(rest.substr(0, end));
  }
  const size_t slash = file.rfind('/');
  if (slash == absl::string_view::npos) return std::string(file);
  return absl::StrCat(BaseName(file.substr(0, slash)), "/");
}

}  // namespace

const std::array<KindStyle, kCodeKinds> kKindStyles = {{
    {"no stack", {0xd8, 0xd2, 0xc4}, {0xe4, 0xdf, 0xd4}},
    {"JavaScript", {0x6f, 0xc2, 0x6b}, {0xae, 0xe0, 0x88}},
    {"node_modules", {0xbc, 0x9c, 0xea}, {0xdc, 0xc9, 0xf9}},
    {"Node library", {0x5f, 0xc7, 0xb8}, {0xa6, 0xe3, 0xd6}},
    {"builtins", {0x7f, 0xb6, 0xef}, {0xb5, 0xd8, 0xfa}},
    {"WebAssembly", {0xd9, 0xa0, 0x7a}, {0xee, 0xc9, 0xae}},
    {"awaiting", {0xe3, 0xd6, 0x9a}, {0xf0, 0xe8, 0xc2}},
    {"C++, native", {0xf0, 0xcc, 0x4e}, {0xfa, 0xe7, 0x9c}},
    {"GC", {0xd8, 0x6c, 0x62}, {0xea, 0x97, 0x8d}},
    {"kernel", {0xf0, 0x96, 0x4e}, {0xf9, 0xc2, 0x8f}},
    {"JIT", {0xee, 0x88, 0xa4}, {0xf8, 0xbc, 0xcb}},
    {"unnamed", {0xb9, 0xbe, 0xc6}, {0xd9, 0xdd, 0xe2}},
}};

CodeKind KindOf(const Profile& profile, const Function& function) {
  switch (function.kind) {
    case FrameKind::kScript: {
      absl::string_view file = profile.String(function.file);
      if (absl::StartsWith(file, "node:")) return CodeKind::kRuntimeScript;
      return IsModule(file) ? CodeKind::kModuleScript : CodeKind::kUserScript;
    }
    case FrameKind::kLibraryScript:
      return CodeKind::kModuleScript;
    case FrameKind::kAsync:
      return CodeKind::kAwaiting;
    case FrameKind::kBuiltin:
      return CodeKind::kBuiltin;
    case FrameKind::kWasm:
      return CodeKind::kWasm;
    case FrameKind::kNative:
      return CollectsGarbage(profile.String(function.name)) ? CodeKind::kGc : CodeKind::kNative;
    case FrameKind::kKernel:
      return CodeKind::kKernel;
    case FrameKind::kJit:
      return CodeKind::kJit;
    case FrameKind::kUnknown:
    case FrameKind::kMarker:
      return CodeKind::kUnknown;
  }
  return CodeKind::kUnknown;
}

int ShadeOf(absl::string_view name) {
  uint32_t hash = 2166136261u;  // FNV-1a
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return static_cast<int>((hash ^ hash >> 16) & 15);
}

Rgb ColourOf(CodeKind kind, bool inlined, int shade) {
  const KindStyle& style = kKindStyles[static_cast<size_t>(kind)];
  auto mix = [&](int from, int to) {
    const int colour = from + (to - from) * shade / 15;
    return inlined ? colour + (0xff - colour) * 9 / 20 : colour;
  };
  return {mix(style.from.r, style.to.r), mix(style.from.g, style.to.g),
          mix(style.from.b, style.to.b)};
}

Packages::Packages(const Profile& profile)
    : profile_(profile), image_of_(ImagesOfFunctions(profile)) {}

std::string Packages::Of(const Function& function) const {
  switch (function.kind) {
    case FrameKind::kScript:
    case FrameKind::kLibraryScript:
    case FrameKind::kAsync:
    case FrameKind::kWasm:
      return ScriptPackage(profile_.String(function.file));
    case FrameKind::kBuiltin:
      return "V8 builtins";
    case FrameKind::kKernel:
      return "kernel";
    case FrameKind::kNative:
    case FrameKind::kJit:
    case FrameKind::kUnknown: {
      const ImageId image = image_of_[static_cast<size_t>(&function - profile_.functions.data())];
      return image.valid()
                 ? std::string(BaseName(profile_.String(profile_.images[image.value].path)))
                 : "";
    }
    case FrameKind::kMarker:
      return "";
  }
  return "";
}

}  // namespace jprof
