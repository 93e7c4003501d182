#include "tests/helpers/v8_heap.h"

#include <cstdlib>
#include <span>
#include <string>

namespace jprof {
namespace {

struct NodeTypes {
  int major;
  uint16_t version;  // major << 8 | minor of V8
  uint16_t first_js_function, last_js_function;
  uint16_t shared, scope_info, script;
  uint16_t function_shared;
  uint16_t shared_data, shared_data_2, shared_name, shared_script;
  uint16_t scope_base, scope_module_type, scope_position_slot;
  uint16_t frame_builtin_exit, frame_wasm, frame_wasm_to_js, frame_js_to_wasm;
  int32_t isolate_exit_frame;
  int32_t isolate_fast_call;
  uint16_t bytecode_array;
};

constexpr NodeTypes kNodes[] = {
    {18, 10 << 8 | 2, 2065, 2080, 257, 256, 170, 24, 8,      0,    16,
     32, 3,           3,    0,    22,  4,   5,   6,  0x44b8, 0x80, 195},
    {20, 11 << 8 | 3, 2066, 2081, 262, 261, 167, 24, 8,     0,    16,
     32, 3,           3,    0,    25,  4,   5,   7,  0x100, 0x68, 191},
    {22, 12 << 8 | 4, 2066, 2082, 274, 272, 167, 32, 8,    0,    16,
     32, 3,           3,    0,    26,  4,   5,   7,  0x90, 0x70, 205},
    {24, 13 << 8 | 6, 2065, 2081, 282, 280, 167, 32, 8,    16,   24,
     40, 5,           5,    3,    27,  4,   5,   7,  0xc0, 0xa8, 186},
};

struct AwaitTypes {
  int major;
  uint16_t async_function, async_generator, promise, reaction, capability, request;
  uint16_t fulfill_task, reject_task, thenable_task;
  uint16_t function_context, reaction_next;
};

constexpr AwaitTypes kAwaits[] = {
    {18, 2097, 2098, 2062, 166, 164, 149, 132, 133, 136, 32, 8},
    {20, 2106, 2107, 2063, 163, 161, 148, 132, 133, 136, 32, 8},
    {22, 2108, 2109, 2063, 163, 161, 146, 132, 133, 136, 40, 16},
    {24, 2110, 2111, 2115, 162, 161, 146, 132, 133, 136, 40, 16},
};

constexpr uint64_t kBlob = kBlobPc & ~0xfffULL;
constexpr uint32_t kBlobBytes = 0x10000;
constexpr uint16_t kOddballType = 131;  // any that is no string and none of the above
constexpr uint64_t kScopeNameIndex = 0xffff'ffff'0000'0000;  // Smi -1: the name has no slot

}  // namespace

jp_v8_layout V8LayoutOfNode(int major) {
  for (const NodeTypes& n : kNodes) {
    if (n.major != major) continue;
    jp_v8_layout l = {};
    l.version = static_cast<uint32_t>(n.version) << 16;
    l.map_instance_type = 12;
    l.first_js_function_type = n.first_js_function;
    l.last_js_function_type = n.last_js_function;
    l.shared_type = n.shared;
    l.scope_info_type = n.scope_info;
    l.bytecode_array_type = n.bytecode_array;
    l.script_type = n.script;
    l.first_nonstring_type = 128;
    l.frame_bytecode_offset = -40;
    l.frame_builtin_exit = n.frame_builtin_exit;
    l.frame_wasm = n.frame_wasm;
    l.frame_wasm_to_js = n.frame_wasm_to_js;
    l.frame_js_to_wasm = n.frame_js_to_wasm;
    l.isolate_exit_frame = n.isolate_exit_frame;
    l.isolate_fast_call = n.isolate_fast_call;
    l.function_shared = n.function_shared;
    l.shared_data = n.shared_data;
    l.shared_data_2 = n.shared_data_2;
    l.shared_name_or_scope_info = n.shared_name;
    l.shared_script = n.shared_script;
    l.scope_slots = 8;
    l.scope_base = n.scope_base;
    l.scope_module_type = n.scope_module_type;
    l.scope_position_slot = n.scope_position_slot;
    l.scope_hashed_locals = 75;
    l.script_source = 8;
    l.script_name = 16;
    l.script_line_offset = 24;
    l.script_id = 64;
    l.string_length = 12;
    l.string_chars = 16;
    l.cons_first = 16;
    l.cons_second = 24;
    l.thin_actual = 16;
    l.sliced_parent = 16;
    l.sliced_offset = 24;
    l.external_resource = 16;
    l.external_data = 24;
    for (const AwaitTypes& t : kAwaits) {
      if (t.major != major) continue;
      l.async_function_type = t.async_function;
      l.async_generator_type = t.async_generator;
      l.promise_type = t.promise;
      l.reaction_type = t.reaction;
      l.capability_type = t.capability;
      l.request_type = t.request;
      l.function_context = t.function_context;
      l.context_slots = 32;
      l.reaction_next = t.reaction_next;
      l.fulfill_task_type = t.fulfill_task;
      l.reject_task_type = t.reject_task;
      l.thenable_task_type = t.thenable_task;
    }
    l.builtins_bytes = kBlobBytes;
    l.handlers = kBlobBytes / 4 * 3;
    l.microtasks_begin = static_cast<uint32_t>(kMicrotasksPc - kBlob);
    l.microtasks_end = l.microtasks_begin + 0x800;
    l.isolate_microtask = 0x1000;
    l.representation_mask = 7;
    l.sequential_tag = 0;
    l.cons_tag = 1;
    l.external_tag = 2;
    l.sliced_tag = 3;
    l.thin_tag = 5;
    l.one_byte_bit = 8;
    l.uncached_external_bit = 0x10;
    return l;
  }
  std::abort();
}

RuntimeImage V8Heap::Image() const {
  RuntimeImage image;
  const auto bytes = std::as_bytes(std::span(&layout_, 1));
  image.layout.assign(bytes.begin(), bytes.end());
  return image;
}

uint64_t V8Heap::Allocate(uint64_t bytes) {
  const uint64_t address = next_;
  next_ += (bytes + 7) / 8 * 8 + 64;  // apart, so that no object runs into the next one
  memory_.Zero({{address}, {address + (bytes + 7) / 8 * 8}});
  return address;
}

uint64_t V8Heap::Map(uint16_t type) {
  auto [it, added] = maps_.try_emplace(type);
  if (added) {
    if (meta_map_ == 0) {
      meta_map_ = Allocate(80) + 1;
      Set(meta_map_, 0, meta_map_);
    }
    const uint64_t map = Allocate(80) + 1;
    it->second = map;
    Set(map, 0, meta_map_).Set(map, layout_.map_instance_type, type);
  }
  return maps_[type];
}

uint64_t V8Heap::Object(uint16_t type, uint64_t bytes) {
  const uint64_t map = Map(type);
  const uint64_t object = Allocate(bytes) + 1;
  Set(object, 0, map);
  return object;
}

uint64_t V8Heap::Undefined() { return Object(kOddballType, 56); }

V8Heap& V8Heap::Unmap(uint64_t object, uint64_t bytes) {
  memory_.MakeUnreadable({{object - 1}, {object - 1 + bytes}});
  return *this;
}

uint64_t V8Heap::OneByte(absl::string_view latin1, uint16_t type) {
  const uint64_t s = Object(type, layout_.string_chars + latin1.size());
  memory_.PutText(Address{s - 1 + layout_.string_chars}, latin1);
  Set(s, layout_.string_length, static_cast<int32_t>(latin1.size()));
  return s;
}

uint64_t V8Heap::TwoByte(std::u16string_view units, uint16_t type) {
  const uint64_t s = Object(type, layout_.string_chars + units.size() * 2);
  memory_.Put(Address{s - 1 + layout_.string_chars},
              std::as_bytes(std::span(units.data(), units.size())));
  Set(s, layout_.string_length, static_cast<int32_t>(units.size()));
  return s;
}

int32_t V8Heap::Length(uint64_t string) const {
  return memory_.ReadValue<int32_t>(Address{string - 1 + layout_.string_length}).value();
}

uint64_t V8Heap::Cons(uint64_t first, uint64_t second) {
  const uint64_t s = Object(kV8Cons, 32);
  Set(s, layout_.string_length, Length(first) + Length(second));
  return Set(s, layout_.cons_first, first).Set(s, layout_.cons_second, second), s;
}

uint64_t V8Heap::Thin(uint64_t actual) {
  const uint64_t s = Object(kV8Thin, 24);
  return Set(s, layout_.string_length, Length(actual)).Set(s, layout_.thin_actual, actual), s;
}

uint64_t V8Heap::Sliced(uint64_t parent, int32_t offset, int32_t length) {
  const uint64_t s = Object(kV8Sliced, 32);
  Set(s, layout_.string_length, length).Set(s, layout_.sliced_parent, parent);
  return Set(s, layout_.sliced_offset, Smi(offset)), s;
}

namespace {

// The bytes of an external string live outside the heap. A cached one points to them; each has a
// resource, an object of C++: a vtable, then the pointer.
uint64_t External(V8Heap& heap, uint64_t chars, int32_t length, uint16_t type, bool cached) {
  const jp_v8_layout& l = heap.layout();
  const uint64_t resource = heap.Object(0, 32);
  heap.Set(resource, 8, chars);
  if (!cached) type = static_cast<uint16_t>(type | kV8UncachedBit);
  const uint64_t s = heap.Object(type, cached ? 32 : 24);
  heap.Set(s, l.string_length, length).Set(s, l.external_resource, resource - 1);
  if (cached) heap.Set(s, l.external_data, chars);
  return s;
}

}  // namespace

uint64_t V8Heap::ExternalOneByte(absl::string_view latin1, bool cached) {
  const uint64_t chars = Allocate(latin1.size());
  memory_.PutText(Address{chars}, latin1);
  return External(*this, chars, static_cast<int32_t>(latin1.size()), kV8ExternalOneByte, cached);
}

uint64_t V8Heap::ExternalTwoByte(std::u16string_view units, bool cached) {
  const uint64_t chars = Allocate(units.size() * 2);
  memory_.Put(Address{chars}, std::as_bytes(std::span(units.data(), units.size())));
  return External(*this, chars, static_cast<int32_t>(units.size()), kV8ExternalTwoByte, cached);
}

uint64_t V8Heap::ScopeInfo(const ScopeSpec& spec) {
  // Node 18 to 22: class, eval, function, module, script. Later: script, REPL, class, eval,
  // function, module.
  const uint32_t script_type = major_ >= 24 ? 0 : 4;
  const uint32_t scope_type = spec.module     ? layout_.scope_module_type
                              : spec.has_name ? layout_.scope_module_type - 1u
                                              : script_type;
  const uint32_t flags = scope_type | 0x40;
  std::vector<uint64_t> slots = {major_ >= 24 ? flags : Smi(static_cast<int32_t>(flags)), Smi(0),
                                 Smi(spec.locals)};
  if (layout_.scope_position_slot != 0) {
    slots.push_back(Smi(spec.start));
    slots.push_back(Smi(spec.end));
  }
  if (spec.module) slots.push_back(Smi(1));
  const bool hashed = spec.locals >= layout_.scope_hashed_locals;
  for (int i = 0; i < (hashed ? 1 : spec.locals); ++i) {
    slots.push_back(hashed ? Undefined() : OneByte("local", kV8InternalizedOneByte));
  }
  for (int i = 0; i < spec.locals; ++i) slots.push_back(Smi(i));
  if (spec.receiver) slots.push_back(Smi(2));
  if (spec.has_name && !spec.module) {
    slots.push_back(spec.name);
    slots.push_back(kScopeNameIndex);
  }
  if (spec.inferred) slots.push_back(*spec.inferred);
  if (layout_.scope_position_slot == 0) {
    slots.push_back(Smi(spec.start));
    slots.push_back(Smi(spec.end));
  }
  const uint64_t s = Object(layout_.scope_info_type, layout_.scope_slots + slots.size() * 8);
  for (size_t i = 0; i < slots.size(); ++i) Set(s, layout_.scope_slots + i * 8, slots[i]);
  return s;
}

uint64_t V8Heap::Script(const ScriptSpec& spec) {
  const uint64_t s = Object(layout_.script_type, 136);
  Set(s, layout_.script_source, spec.source != 0 ? spec.source : Undefined());
  Set(s, layout_.script_name, spec.name != 0 ? spec.name : Undefined());
  Set(s, layout_.script_line_offset, Smi(spec.line_offset));
  return Set(s, layout_.script_id, Smi(spec.id)), s;
}

uint64_t V8Heap::Shared(uint64_t name_or_scope_info, uint64_t script) {
  const uint64_t s = Object(layout_.shared_type, 72);
  const uint64_t bytecode = Object(static_cast<uint16_t>(layout_.script_type + 41), 64);
  Set(s, layout_.shared_data, bytecode).Set(s, layout_.shared_script, script);
  return Set(s, layout_.shared_name_or_scope_info, name_or_scope_info), s;
}

uint64_t V8Heap::BuiltinShared(absl::string_view name, int32_t builtin) {
  const uint64_t s = Shared(OneByte(name, kV8InternalizedOneByte), Undefined());
  Set(s, layout_.shared_data, Smi(builtin));
  if (layout_.shared_data_2 != 0) {
    Set(s, layout_.shared_data, Smi(0)).Set(s, layout_.shared_data_2, Smi(builtin));
  }
  return s;
}

uint64_t V8Heap::Function(uint64_t shared, uint16_t type) {
  const uint64_t f = Object(static_cast<uint16_t>(layout_.first_js_function_type + type), 64);
  return Set(f, layout_.function_shared, shared), f;
}

V8Stack& V8Stack::Frame(uint64_t pc, uint64_t slot_8, uint64_t slot_16) {
  const uint64_t fp = next_;
  next_ -= 128;
  FakeMemory& memory = heap_.memory();
  memory.Zero({{fp - 112}, {fp + 16}});
  memory.PutValue(Address{fp}, fp_).PutValue(Address{fp + 8}, pc_);
  memory.PutValue(Address{fp - 8}, slot_8).PutValue(Address{fp - 16}, slot_16);
  fp_ = fp;
  pc_ = pc;
  return *this;
}

jp_process V8Stack::process() {
  jp_process process = {};
  process.range_count = 2;
  process.ranges[0] = {kBlob, kBlob + kBlobBytes, 0, 1, JP_RANGE_IMAGE, 0};
  process.ranges[1] = {kJitPc & ~0xfffULL, (kJitPc & ~0xfffULL) + 0x100000, 0, 1, JP_RANGE_JIT, 0};
  return process;
}

}  // namespace jprof
