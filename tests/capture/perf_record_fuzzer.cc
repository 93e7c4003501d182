// A hostile ring: the first byte says where in the ring it begins, the second how far the head lies
// beyond the bytes; the rest are its bytes. Whatever parses goes through the sorter and the table.
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "profiler/capture/event_sorter.h"
#include "profiler/capture/perf_ring.h"
#include "profiler/capture/record_parser.h"
#include "profiler/process/process_table.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size < 2) return 0;
  const std::span<const std::byte> bytes =
      std::as_bytes(std::span(input + 2, std::min<size_t>(size - 2, 65536)));
  std::vector<std::byte> data(std::bit_ceil(std::max<size_t>(bytes.size(), 64)));
  perf_event_mmap_page control = {};
  control.data_tail = input[0];
  control.data_head = control.data_tail + bytes.size() + input[1];
  for (size_t i = 0; i < bytes.size(); ++i) {
    data[(control.data_tail + i) & (data.size() - 1)] = bytes[i];
  }

  std::vector<std::byte> buffer;
  jprof::EventSorter sorter;
  jprof::DrainResult result =
      jprof::DrainRing(control, data, buffer, [&](std::span<const std::byte> record) {
        for (bool kernel_chain : {false, true}) {
          auto sample = jprof::ParseTaskRecord(record, kernel_chain);
          if (sample.ok() && sample->sample &&
              sample->sample->stack.size() +
                      8 * sample->sample->kernel_chain.size() > record.size()) {
            std::abort();
          }
        }
        auto event = jprof::ParseSidebandRecord(record);
        if (!event.ok() || !event->has_value() || !jprof::EventTime(**event)) return;
        sorter.Push(*std::move(*event));
      });
  if (control.data_tail != control.data_head) std::abort();
  if (result.records > (bytes.size() + 255) / sizeof(perf_event_header)) std::abort();

  jprof::ProcessTable table({.exited_processes = 4, .exited_mappings = 8, .exited_threads = 2});
  uint64_t last = 0;
  sorter.Flush([&](jprof::Event event) {
    const uint64_t time_ns = *jprof::EventTime(event);
    if (time_ns < last) std::abort();
    last = time_ns;
    table.Apply(event);
  });
  return 0;
}
