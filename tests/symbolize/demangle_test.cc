#include "symbolize/demangle.h"

#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace jprof {
namespace {

// pair<A, A>, a pair of two of those, and so on: 10 bytes for each doubling of the name.
std::string Doubling(int levels) {
  auto base36 = [](int value) {
    const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    std::string text;
    if (value >= 36) text += digits[value / 36];
    return text + digits[value % 36];
  };
  std::string name = "_Z1f4pairI1AS0_E";
  for (int i = 1; i <= levels; ++i) {
    std::string last = base36(i);
    absl::StrAppend(&name, "S_IS", last, "_S", last, "_E");
  }
  return name;
}

TEST(DemangleTest, CxxNamesKeepTemplateAndParameterLists) {
  EXPECT_EQ(Demangle("_ZN2v88internal7Isolate4InitEv"), "v8::internal::Isolate::Init()");
  EXPECT_EQ(Demangle("_ZNSt6vectorIiSaIiEE9push_backEOi"),
            "std::vector<int, std::allocator<int> >::push_back(int&&)");
  EXPECT_EQ(Demangle("_ZN1AC2Ev"), "A::A()");
}

TEST(DemangleTest, CompilersSuffixIsShown) {
  EXPECT_EQ(Demangle("_Z3foov.cold"), "foo() [clone .cold]");
}

TEST(DemangleTest, OtherNamesAreUnchanged) {
  for (const char* name :
       {"", "i", "main", "_Z", "_ZN", "_ZNK", "_Znonsense", "Builtins_Call_ReceiverIsAny",
        "_RNvC6_123foo3bar", "_GLOBAL__sub_I_x", "memcpy@@GLIBC_2.14"}) {
    EXPECT_EQ(Demangle(name), name);
  }
}

TEST(DemangleTest, RustHashIsLeftOut) {
  EXPECT_EQ(Demangle("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"),
            "core::fmt::Write::write_fmt");
  EXPECT_EQ(Demangle("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE.llvm.123"),
            "core::fmt::Write::write_fmt");
}

TEST(DemangleTest, RustEscapesAreResolved) {
  EXPECT_EQ(
      Demangle("_ZN50_$LT$$RF$mut$u20$I$u20$as$u20$core..iter..Iter$GT$4next17h0123456789abcdefE"),
      "<&mut I as core::iter::Iter>::next");
  EXPECT_EQ(Demangle("_ZN4main28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE"),
            "main::{{closure}}");
  EXPECT_EQ(Demangle("_ZN5$odd$17h0123456789abcdefE"), "$odd$");
}

TEST(DemangleTest, NestedNameWithoutAHashIsCxx) {
  EXPECT_EQ(Demangle("_ZN4core17h0123456789abcdeXE"), "core::h0123456789abcdeX");
  EXPECT_EQ(Demangle("_ZN4core16h0123456789abcdeE"), "core::h0123456789abcde");
}

TEST(DemangleTest, NameThatUnfoldsBeyondTheLimitIsUnchanged) {
  const std::string fits = Demangle(Doubling(9));
  EXPECT_GT(fits.size(), 10'000u);
  EXPECT_LE(fits.size(), 64u * 1024);
  for (int levels : {14, 22, 40, 80}) {
    EXPECT_EQ(Demangle(Doubling(levels)), Doubling(levels)) << levels;
  }
}

TEST(DemangleTest, DeepNamesAreSurvived) {
  for (size_t depth : {500u, 5'000u, 16'000u, 100'000u}) {
    for (const char* link : {"P", "N", "I", "K", "F", "LZ", "X", "st"}) {
      std::string name = "_Z1f";
      while (name.size() < depth) name += link;
      EXPECT_FALSE(Demangle(name + "i").empty());
      EXPECT_FALSE(Demangle(name).empty());
    }
  }
}

TEST(DemangleTest, BudgetEndsTheWork) {
  size_t budget = 100;
  EXPECT_EQ(Demangle("_Z1fi", &budget), "f(int)");
  EXPECT_EQ(budget, 94u);
  EXPECT_EQ(Demangle(Doubling(40), &budget), Doubling(40));
  EXPECT_EQ(budget, 0u);
  EXPECT_EQ(Demangle("_Z1fi", &budget), "_Z1fi");
}

}  // namespace
}  // namespace jprof
