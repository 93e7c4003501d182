#include "symbolize/dwarf_lines.h"

#include <algorithm>
#include <utility>

#include "absl/functional/function_ref.h"

namespace jprof::dwarf {
namespace {

constexpr uint64_t kMaxLineFiles = 1 << 20;  // of one unit

// The standard's names and numbers.
enum Opcode : uint8_t {
  kExtended = 0,
  kCopy = 1,
  kAdvancePc = 2,
  kAdvanceLine = 3,
  kSetFile = 4,
  kSetColumn = 5,
  kConstAddPc = 8,
  kFixedAdvancePc = 9,
};
enum ExtendedOpcode : uint8_t { kEndSequence = 1, kSetAddress = 2, kDefineFile = 3 };
enum Content : uint64_t { kPath = 1, kDirectoryIndex = 2 };

class LineProgram {
 public:
  // `forms`: how the program's numbers and strings are read. `base`: where `c` begins in
  // .debug_line.
  LineProgram(DwarfFile& file, const ElfFile& elf, const Unit& forms, uint64_t base, ByteCursor c,
              const AddressList& addresses, const Questions& questions, WorkBudget& budget,
              LineTable& table, std::vector<LineRow>& rows)
      : file_(file),
        elf_(elf),
        forms_(forms),
        base_(base),
        c_(c),
        addresses_(addresses),
        questions_(questions),
        budget_(budget),
        table_(table),
        rows_(rows) {}

  void Run() {
    if (ReadHeader()) Execute();
  }

 private:
  struct State {
    uint64_t address = 0;
    uint64_t operation = 0;
    uint64_t file = 1;
    uint64_t line = 1;
    uint64_t column = 0;
  };

  // Leaves the cursor at the program's first instruction.
  bool ReadHeader() {
    forms_.version = c_.U16();
    table_.version = forms_.version;
    if (forms_.version < 2 || forms_.version > 5) return false;
    if (forms_.version >= 5) {
      forms_.address_size = c_.U8();
      if (c_.U8() != 0) return false;  // segments
      if (forms_.address_size != 4 && forms_.address_size != 8) return false;
    }
    const uint64_t header_length = c_.Unsigned(forms_.offset_size);
    const uint64_t program = c_.position() + header_length;
    if (header_length > c_.left()) return false;
    min_instruction_ = c_.U8();
    if (forms_.version >= 4) max_operations_ = std::max<uint8_t>(c_.U8(), 1);
    c_.U8();  // is_stmt: rows count whatever it says
    line_base_ = static_cast<int8_t>(c_.U8());
    line_range_ = c_.U8();
    opcode_base_ = c_.U8();
    if (!c_.ok() || line_range_ == 0 || opcode_base_ == 0) return false;
    for (int i = 1; i < opcode_base_; ++i) operands_.push_back(c_.U8());
    if (!(forms_.version >= 5 ? ReadTables() : ReadOldTables())) return false;
    return c_.ok() && c_.Seek(program);
  }

  bool ReadTables() {
    return ReadEntries([&](const LineFile& f) { table_.directories.push_back(f.name); }) &&
           ReadEntries([&](const LineFile& f) { table_.files.push_back(f); });
  }

  // The version 5 table of directories or files.
  bool ReadEntries(absl::FunctionRef<void(const LineFile&)> add) {
    std::vector<std::pair<uint64_t, uint64_t>> format(c_.U8());
    for (auto& [content, form] : format) {
      content = c_.Uleb();
      form = c_.Uleb();
    }
    const uint64_t count = c_.Uleb();
    if ((format.empty() && count != 0) || count > kMaxLineFiles) return false;
    for (uint64_t i = 0; i < count && c_.ok() && budget_.Spend(format.size() + 1); ++i) {
      LineFile file;
      for (const auto& [content, form] : format) {
        const Value value = file_.ReadForm(c_, base_, forms_, form, 0, Class::kLineString);
        if (content == kPath) file.name = value;
        if (content == kDirectoryIndex) file.directory = value.number;
      }
      add(file);
    }
    return c_.ok();
  }

  bool ReadOldTables() {
    auto next_string = [&](Value* value) {
      *value = {Class::kLineString, base_ + c_.position()};
      return !c_.String().empty() && c_.ok() && budget_.Spend(2);
    };
    for (Value v; next_string(&v);) table_.directories.push_back(v);
    for (Value v; next_string(&v);) {
      table_.files.push_back({v, c_.Uleb(), {}});
      c_.Uleb();  // time
      c_.Uleb();  // size
    }
    return true;
  }

  void Execute() {
    while (c_.left() > 0 && c_.ok() && budget_.Spend(2)) {
      const uint8_t opcode = c_.U8();
      if (opcode >= opcode_base_) {
        const int adjusted = opcode - opcode_base_;
        Advance(static_cast<uint64_t>(adjusted / line_range_));
        state_.line += static_cast<uint64_t>(line_base_ + adjusted % line_range_);
        Emit();
        continue;
      }
      switch (opcode) {
        case kExtended:
          if (!ExecuteExtended()) return;
          break;
        case kCopy: Emit(); break;
        case kAdvancePc: Advance(c_.Uleb()); break;
        case kAdvanceLine: state_.line += static_cast<uint64_t>(c_.Sleb()); break;
        case kSetFile: state_.file = c_.Uleb(); break;
        case kSetColumn: state_.column = c_.Uleb(); break;
        case kConstAddPc: Advance(static_cast<uint64_t>(255 - opcode_base_) / line_range_); break;
        case kFixedAdvancePc:
          state_.address += c_.U16();
          state_.operation = 0;
          break;
        default:  // of the others the operands alone matter
          for (int i = 0; i < operands_[opcode - 1]; ++i) c_.Uleb();
      }
    }
  }

  bool ExecuteExtended() {
    const uint64_t size = c_.Uleb();
    if (size == 0 || size > c_.left()) return false;
    const size_t end = c_.position() + size;
    const uint8_t opcode = c_.U8();
    if (opcode == kEndSequence) {
      Emit();
      previous_.reset();
      state_ = State();
    } else if (opcode == kSetAddress && size - 1 <= 8) {
      state_.address = c_.Unsigned(size - 1);
      state_.operation = 0;
    } else if (opcode == kDefineFile) {
      const Value name = {Class::kLineString, base_ + c_.position()};
      c_.String();
      table_.files.push_back({name, c_.Uleb(), {}});
    }
    return c_.Seek(end);
  }

  void Advance(uint64_t operations) {
    const uint64_t sum = state_.operation + operations;
    state_.address += min_instruction_ * (sum / max_operations_);
    state_.operation = sum % max_operations_;
  }

  // A row: the one before it ends here.
  void Emit() {
    if (!previous_) in_code_ = elf_.ExecutableRange({state_.address}).has_value();
    if (previous_ && in_code_) {
      addresses_.ForEachIn(questions_, previous_->address, state_.address, [&](size_t i) {
        rows_[questions_[i]] = {previous_->file, Narrow(previous_->line),
                                Narrow(previous_->column), true};
      });
    }
    previous_ = state_;
  }

  DwarfFile& file_;
  const ElfFile& elf_;
  Unit forms_;  // its sizes may differ from the unit's
  const uint64_t base_;
  ByteCursor c_;
  const AddressList& addresses_;
  const Questions& questions_;
  WorkBudget& budget_;
  LineTable& table_;
  std::vector<LineRow>& rows_;

  uint8_t min_instruction_ = 1;
  uint8_t max_operations_ = 1;
  int8_t line_base_ = 0;
  uint8_t line_range_ = 0;
  uint8_t opcode_base_ = 0;
  std::vector<uint8_t> operands_;

  State state_;
  std::optional<State> previous_;
  bool in_code_ = false;  // this sequence: those of functions that were left out begin at 0
};

}  // namespace

LineTable FindLines(DwarfFile& file, const ElfFile& elf, const Unit& unit,
                    const AddressList& addresses, const Questions& questions, WorkBudget& budget,
                    std::vector<LineRow>& rows) {
  LineTable table;
  table.version = unit.version;
  if (unit.lines == kNone) return table;
  std::vector<uint8_t> buffer;
  Unit forms = unit;
  uint64_t length;
  uint64_t base = unit.lines;
  {
    ByteCursor c(file.section(kLine).Read(unit.lines, 12, buffer));
    length = DwarfFile::InitialLength(c, &forms.offset_size);
    base += c.position();
    if (length > file.section(kLine).size() || !budget.Reserve(length)) return table;
  }
  const ByteCursor c(file.section(kLine).Read(base, length, buffer));
  LineProgram(file, elf, forms, base, c, addresses, questions, budget, table, rows).Run();
  budget.Release(length);
  return table;
}

}  // namespace jprof::dwarf
