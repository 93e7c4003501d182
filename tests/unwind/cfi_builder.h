// Writes .eh_frame and .debug_frame sections for tests.
//   CfiBuilder().Cie().Fde(0x1000, 0x20, {kAdvance | 4, kDefCfaOffset, 16})
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace jprof {

// Instructions of DWARF's call-frame machine, the names without DW_CFA_.
inline constexpr uint8_t kAdvance = 0x40, kOffset = 0x80, kRestore = 0xc0;
inline constexpr uint8_t kUndefined = 0x07, kRememberState = 0x0a, kRestoreState = 0x0b,
                         kDefCfa = 0x0c, kDefCfaRegister = 0x0d, kDefCfaOffset = 0x0e,
                         kDefCfaExpression = 0x0f, kExpression = 0x10;
inline constexpr uint8_t kRbp = 6, kRsp = 7, kRa = 16;

class CfiBuilder {
 public:
  explicit CfiBuilder(bool is_eh_frame = true, uint64_t address = 0x100000)
      : is_eh_frame_(is_eh_frame), address_(address) {}

  // The usual beginning: CFA = rsp + 8, the return address below it. `augmentation`: "zR", "zRS".
  CfiBuilder& Cie(std::string augmentation = "zR",
                  std::vector<uint8_t> program = {kDefCfa, kRsp, 8, kOffset | kRa, 1}) {
    if (!is_eh_frame_) augmentation.clear();
    cie_ = bytes_.size();
    Begin();
    Put<uint32_t>(is_eh_frame_ ? 0 : 0xffffffff);
    Put<uint8_t>(1);  // version
    for (char c : augmentation) Put(c);
    Put<uint8_t>(0);
    Put<uint8_t>(1);     // code alignment
    Put<uint8_t>(0x78);  // data alignment: -8
    Put<uint8_t>(kRa);
    if (is_eh_frame_) {
      Put<uint8_t>(1);     // bytes of augmentation data
      Put<uint8_t>(0x1b);  // addresses: 4 bytes, signed, relative
    }
    return End(program);
  }
  CfiBuilder& Fde(uint64_t begin, uint32_t size, const std::vector<uint8_t>& program) {
    Begin();
    if (is_eh_frame_) {
      Put<uint32_t>(static_cast<uint32_t>(bytes_.size() - cie_));
      Put<uint32_t>(static_cast<uint32_t>(begin - address_ - bytes_.size()));
      Put<uint32_t>(size);
      Put<uint8_t>(0);  // bytes of augmentation data
    } else {
      Put<uint32_t>(static_cast<uint32_t>(cie_));
      Put<uint64_t>(begin);
      Put<uint64_t>(size);
    }
    return End(program);
  }

  const std::vector<uint8_t>& bytes() const { return bytes_; }
  uint64_t address() const { return address_; }
  bool is_eh_frame() const { return is_eh_frame_; }

 private:
  template <typename T>
  void Put(T value) {
    const auto* p = reinterpret_cast<const uint8_t*>(&value);
    bytes_.insert(bytes_.end(), p, p + sizeof(value));
  }
  void Begin() {
    entry_ = bytes_.size();
    Put<uint32_t>(0);
  }
  CfiBuilder& End(const std::vector<uint8_t>& program) {
    bytes_.insert(bytes_.end(), program.begin(), program.end());
    while (bytes_.size() % 8 != 0) Put<uint8_t>(0);
    const uint32_t length = static_cast<uint32_t>(bytes_.size() - entry_ - 4);
    std::memcpy(bytes_.data() + entry_, &length, sizeof(length));
    return *this;
  }

  bool is_eh_frame_;
  uint64_t address_;
  std::vector<uint8_t> bytes_;
  size_t cie_ = 0;
  size_t entry_ = 0;
};

}  // namespace jprof
