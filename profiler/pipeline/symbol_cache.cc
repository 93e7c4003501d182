#include "profiler/pipeline/symbol_cache.h"

namespace jprof {

std::vector<FileOffset> SymbolCache::Missing(uint32_t image,
                                             const std::vector<FileOffset>& offsets) const {
  const auto known = images_.find(image);
  if (known == images_.end()) return offsets;
  std::vector<FileOffset> missing;
  if (known->second.given_up) return missing;
  for (FileOffset offset : offsets) {
    if (!known->second.names.contains(offset.value)) missing.push_back(offset);
  }
  return missing;
}

void SymbolCache::Add(uint32_t image, const ImageQuery& answered) {
  Image& known = images_[image];
  known.status = answered.status;
  // What was in the way of the reader may be gone the next time: a limit, a machine that was too
  // busy. Until then nothing is known of these offsets.
  if (answered.unread || answered.lost) {
    known.losses += answered.lost;
    known.given_up = known.losses >= kMaxLosses;
    return;
  }
  known.build_id = answered.build_id;
  known.is_stripped = answered.is_stripped;
  known.given_up = answered.exhausted || !answered.status.ok();
  for (size_t i = 0; i < answered.offsets.size() && i < answered.names.size(); ++i) {
    names_ += known.names.insert_or_assign(answered.offsets[i].value, answered.names[i]).second;
  }
}

void SymbolCache::Fill(uint32_t image, ImageQuery& query) const {
  query.names.assign(query.offsets.size(), SymbolName());
  const auto known = images_.find(image);
  if (known == images_.end()) return;
  query.build_id = known->second.build_id;
  query.is_stripped = known->second.is_stripped;
  query.status = known->second.status;
  for (size_t i = 0; i < query.offsets.size(); ++i) {
    const auto name = known->second.names.find(query.offsets[i].value);
    if (name != known->second.names.end()) query.names[i] = name->second;
  }
}

void SymbolCache::ForgetDoubtful(bool stripped_too) {
  absl::erase_if(images_, [&](const auto& entry) {
    const Image& image = entry.second;
    const bool doubtful = !image.status.ok() || image.losses != 0 || image.given_up ||
                          (stripped_too && image.is_stripped);
    if (doubtful) names_ -= image.names.size();
    return doubtful;
  });
}

void SymbolCache::MakeRoom() {
  if (names_ <= max_names_) return;
  names_ = 0;
  for (auto& [number, image] : images_) image.names.clear();
}

}  // namespace jprof
