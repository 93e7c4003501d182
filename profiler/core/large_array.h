// An array for tables that are looked up all over: in large pages, if there are any, since lookups
// that follow each other are seldom on one small page.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

namespace jprof {

// Zeros at first. `T` is plain.
template <typename T>
class LargeArray {
 public:
  explicit LargeArray(size_t size) : items_(Map(size)) {}

  size_t size() const { return items_.get_deleter().size; }
  T& operator[](size_t i) { return items_[i]; }
  const T& operator[](size_t i) const { return items_[i]; }
  const T* begin() const { return items_.get(); }
  const T* end() const { return items_.get() + size(); }
  void Clear() { std::fill_n(items_.get(), size(), T()); }

 private:
  struct Unmap {
    size_t size;
    void operator()(T* items) const { ::munmap(items, size * sizeof(T)); }
  };
  using Items = std::unique_ptr<T[], Unmap>;
  static Items Map(size_t size) {
    const size_t bytes = size * sizeof(T);
    void* items =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (items == MAP_FAILED) throw std::bad_alloc();
    ::madvise(items, bytes, MADV_HUGEPAGE);
    return Items(static_cast<T*>(items), Unmap{size});
  }

  Items items_;
};

}  // namespace jprof
