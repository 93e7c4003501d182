// A name is a tree in prefix notation, whose subtrees may be references to what stands before them,
// so that a short one can be printed for ever: nesting, output and steps are limited.
#include "symbolize/rust_demangle.h"

#include <cstdint>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace jprof {
namespace {

constexpr int kMaxDepth = 200;
constexpr uint64_t kMaxBoundLifetimes = 255;  // of one "for<...>"

absl::string_view BasicType(char tag) {
  switch (tag) {
    case 'a': return "i8";
    case 'b': return "bool";
    case 'c': return "char";
    case 'd': return "f64";
    case 'e': return "str";
    case 'f': return "f32";
    case 'h': return "u8";
    case 'i': return "isize";
    case 'j': return "usize";
    case 'l': return "i32";
    case 'm': return "u32";
    case 'n': return "i128";
    case 'o': return "u128";
    case 'p': return "_";
    case 's': return "i16";
    case 't': return "u16";
    case 'u': return "()";
    case 'v': return "...";
    case 'x': return "i64";
    case 'y': return "u64";
    case 'z': return "!";
    default: return "";
  }
}

class Printer {
 public:
  Printer(absl::string_view text, size_t limit, size_t* steps, std::string* out)
      : text_(text), limit_(limit), steps_(*steps), out_(*out) {}

  // The whole name, behind "_R".
  bool Run() {
    Path(/*in_value=*/true);
    if (ok_ && at_ < text_.size() && absl::ascii_isupper(Peek())) {  // the instantiating crate
      silent_ = true;
      Path(false);
    }
    return ok_ && at_ == text_.size();
  }

 private:
  // Makes nesting and steps count; whoever makes one looks at ok_.
  class Nesting {
   public:
    explicit Nesting(Printer& printer) : printer_(printer) {
      if (++printer_.depth_ > kMaxDepth || printer_.steps_ == 0) printer_.ok_ = false;
      if (printer_.steps_ > 0) --printer_.steps_;
    }
    ~Nesting() { --printer_.depth_; }

   private:
    Printer& printer_;
  };

  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  char Next() {
    if (at_ >= text_.size()) ok_ = false;
    return ok_ ? text_[at_++] : '\0';
  }
  bool Consume(char c) {
    if (!ok_ || Peek() != c) return false;
    ++at_;
    return true;
  }
  void Print(absl::string_view text) {
    if (silent_ || !ok_) return;
    if (text.size() > limit_ - out_.size()) {
      ok_ = false;
      return;
    }
    out_.append(text.data(), text.size());
  }

  // "_" is 0, "0_" is 1.
  uint64_t Base62() {
    if (Consume('_')) return 0;
    uint64_t value = 0;
    for (char c; ok_ && (c = Next()) != '_';) {
      const int digit = absl::ascii_isdigit(c)   ? c - '0'
                        : absl::ascii_islower(c) ? c - 'a' + 10
                        : absl::ascii_isupper(c) ? c - 'A' + 36
                                                 : -1;
      if (digit < 0 || value > (UINT64_MAX - 62) / 62 - 1) ok_ = false;
      value = value * 62 + static_cast<uint64_t>(digit);
    }
    return value + 1;
  }
  uint64_t OptionalBase62(char tag) { return Consume(tag) ? Base62() + 1 : 0; }

  struct Identifier {
    uint64_t disambiguator = 0;
    absl::string_view name;
    bool punycode = false;
  };
  Identifier ReadIdentifier() {
    Identifier identifier;
    identifier.disambiguator = OptionalBase62('s');
    identifier.punycode = Consume('u');
    const size_t begin = at_;
    // A zero stands alone: another number may follow it.
    if (!Consume('0')) {
      while (absl::ascii_isdigit(Peek())) ++at_;
    }
    size_t size = 0;
    if (!absl::SimpleAtoi(text_.substr(begin, at_ - begin), &size)) ok_ = false;
    Consume('_');
    if (size > text_.size() - at_) ok_ = false;
    if (!ok_) return {};
    identifier.name = text_.substr(at_, size);
    at_ += size;
    return identifier;
  }
  void PrintIdentifier(const Identifier& identifier) {
    if (!identifier.punycode) return Print(identifier.name);
    Print("punycode{");
    Print(identifier.name);
    Print("}");
  }

  // What stands at an earlier place.
  template <typename Read>
  void BackReference(Read read) {
    const size_t begin = at_ - 1;  // of the 'B'
    const uint64_t target = Base62();
    if (target >= begin) ok_ = false;
    if (!ok_ || silent_) return;
    const size_t back = at_;
    at_ = target;
    read();
    at_ = back;
  }

  void Path(bool in_value) {
    const Nesting nesting(*this);
    if (!ok_) return;
    switch (Next()) {
      case 'C':
        return PrintIdentifier(ReadIdentifier());
      case 'N': {
        const char space = Next();
        if (!absl::ascii_isalpha(space)) ok_ = false;
        Path(in_value);
        const Identifier identifier = ReadIdentifier();
        if (absl::ascii_isupper(space)) {
          Print("::{");
          Print(space == 'C' ? "closure" : space == 'S' ? "shim" : absl::string_view(&space, 1));
          if (!identifier.name.empty()) Print(":");
          PrintIdentifier(identifier);
          Print(absl::StrCat("#", identifier.disambiguator, "}"));
        } else if (!identifier.name.empty()) {
          Print("::");
          PrintIdentifier(identifier);
        }
        return;
      }
      case 'M':
        ImplementationPath();
        Print("<");
        Type();
        return Print(">");
      case 'X':
        ImplementationPath();
        [[fallthrough]];
      case 'Y':
        Print("<");
        Type();
        Print(" as ");
        Path(false);
        return Print(">");
      case 'I':
        Path(in_value);
        if (in_value) Print("::");
        Print("<");
        GenericArguments();
        return Print(">");
      case 'B':
        return BackReference([&] { Path(in_value); });
      default:
        ok_ = false;
    }
  }

  // Where an impl stands; its type says enough.
  void ImplementationPath() {
    const bool silent = silent_;
    silent_ = true;
    OptionalBase62('s');
    Path(false);
    silent_ = silent;
  }

  void GenericArguments() {
    for (bool first = true; ok_ && !Consume('E'); first = false) {
      if (!first) Print(", ");
      if (Consume('L')) {
        Lifetime(Base62());
      } else if (Consume('K')) {
        Constant();
      } else {
        Type();
      }
    }
  }

  // 0: erased. Else counted from the innermost binder.
  void Lifetime(uint64_t index) {
    if (index > bound_lifetimes_) ok_ = false;
    if (index == 0 || !ok_) return Print("'_");
    const uint64_t depth = bound_lifetimes_ - index;
    if (depth < 26) {
      const char name[] = {'\'', static_cast<char>('a' + depth)};
      return Print(absl::string_view(name, sizeof(name)));
    }
    Print(absl::StrCat("'_", depth));
  }

  // "for<'a, 'b> "; calls `read` with these lifetimes bound.
  template <typename Read>
  void Binder(Read read) {
    const uint64_t count = OptionalBase62('G');
    if (count > kMaxBoundLifetimes) ok_ = false;
    if (!ok_) return;
    for (uint64_t i = 0; i < count; ++i) {
      ++bound_lifetimes_;
      Print(i == 0 ? "for<" : ", ");
      Lifetime(1);
    }
    if (count > 0) Print("> ");
    read();
    bound_lifetimes_ -= count;
  }

  void Type() {
    const Nesting nesting(*this);
    if (!ok_) return;
    const char tag = Next();
    if (const absl::string_view basic = BasicType(tag); !basic.empty()) return Print(basic);
    switch (tag) {
      case 'A':
      case 'S':
        Print("[");
        Type();
        if (tag == 'A') {
          Print("; ");
          Constant();
        }
        return Print("]");
      case 'T': {
        Print("(");
        int count = 0;
        for (; ok_ && !Consume('E'); ++count) {
          if (count > 0) Print(", ");
          Type();
        }
        return Print(count == 1 ? ",)" : ")");
      }
      case 'R':
      case 'Q':
        Print("&");
        if (Consume('L')) {
          if (const uint64_t index = Base62(); index != 0) {
            Lifetime(index);
            Print(" ");
          }
        }
        if (tag == 'Q') Print("mut ");
        return Type();
      case 'P':
        Print("*const ");
        return Type();
      case 'O':
        Print("*mut ");
        return Type();
      case 'F':
        return Binder([&] { Signature(); });
      case 'D':
        Print("dyn ");
        Binder([&] {
          for (bool first = true; ok_ && !Consume('E'); first = false) {
            if (!first) Print(" + ");
            DynamicTrait();
          }
        });
        if (!Consume('L')) {
          ok_ = false;
          return;
        }
        if (const uint64_t index = Base62(); index != 0) {
          Print(" + ");
          Lifetime(index);
        }
        return;
      case 'B':
        return BackReference([&] { Type(); });
      default:
        if (ok_) --at_;
        return Path(false);
    }
  }

  void Signature() {
    if (Consume('U')) Print("unsafe ");
    if (Consume('K')) {
      Print("extern \"");
      if (Consume('C')) {
        Print("C");
      } else {
        std::string abi(ReadIdentifier().name);
        for (char& c : abi) c = c == '_' ? '-' : c;
        Print(abi);
      }
      Print("\" ");
    }
    Print("fn(");
    for (bool first = true; ok_ && !Consume('E'); first = false) {
      if (!first) Print(", ");
      Type();
    }
    Print(")");
    if (Consume('u')) return;
    Print(" -> ");
    Type();
  }

  // A path whose generic arguments stay open, for the associated types to be among them.
  bool OpenPath() {
    const Nesting nesting(*this);
    bool open = false;
    if (Consume('B')) {
      BackReference([&] { open = OpenPath(); });
    } else if (Consume('I')) {
      Path(false);
      Print("<");
      GenericArguments();
      open = true;
    } else {
      Path(false);
    }
    return open;
  }

  void DynamicTrait() {
    bool open = OpenPath();
    while (Consume('p')) {
      Print(open ? ", " : "<");
      open = true;
      PrintIdentifier(ReadIdentifier());
      Print(" = ");
      Type();
    }
    if (open) Print(">");
  }

  void Constant() {
    const Nesting nesting(*this);
    if (!ok_) return;
    if (Consume('B')) return BackReference([&] { Constant(); });
    const char type = Next();
    if (type == 'p') return Print("_");
    if (absl::string_view("abchijlmnostxy").find(type) == absl::string_view::npos) {
      ok_ = false;  // of types that stable Rust has no constants of
      return;
    }
    if (Consume('n')) Print("-");
    const size_t begin = at_;
    while (absl::ascii_isxdigit(Peek())) ++at_;
    const absl::string_view digits = text_.substr(begin, at_ - begin);
    uint64_t value = 0;
    const bool fits =
        digits.size() <= 16 && (digits.empty() || absl::SimpleHexAtoi(digits, &value));
    if (!Consume('_')) ok_ = false;
    if (type == 'b' && fits && value <= 1) return Print(value == 1 ? "true" : "false");
    if (type == 'c' && fits && value >= 0x20 && value < 0x7f) {
      const char quoted[] = {'\'', static_cast<char>(value), '\''};
      return Print(absl::string_view(quoted, sizeof(quoted)));
    }
    if (fits && type != 'c') return Print(absl::StrCat(value));
    Print("0x");
    Print(digits);
  }

  const absl::string_view text_;
  const size_t limit_;
  size_t& steps_;
  std::string& out_;
  size_t at_ = 0;
  int depth_ = 0;
  uint64_t bound_lifetimes_ = 0;
  bool silent_ = false;
  bool ok_ = true;
};

}  // namespace

bool DemangleRustV0(absl::string_view name, size_t limit, size_t* steps, std::string* out) {
  out->clear();
  if (!absl::ConsumePrefix(&name, "_R") || name.empty() || !absl::ascii_isupper(name[0])) {
    return false;
  }
  // What the compiler's back end added.
  name = name.substr(0, name.find_first_of(".$"));
  return Printer(name, limit, steps, out).Run();
}

}  // namespace jprof
