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
        "_R", "_Rnonsense", "_RNvC6_123foo", "_GLOBAL__sub_I_x", "memcpy@@GLIBC_2.14"}) {
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

// Expected are the names that LLVM gives.
TEST(DemangleTest, NewerRustNames) {
  EXPECT_EQ(Demangle("_RNvCs1234_7mycrate3foo"), "mycrate::foo");
  EXPECT_EQ(Demangle("_RNvCs1234_7mycrate3foo.llvm.123"), "mycrate::foo");
  EXPECT_EQ(Demangle("_RINvNtC3std3mem8align_ofjE"), "std::mem::align_of::<usize>");
  EXPECT_EQ(Demangle("_RNCNCNvC3std7runtime00s_0B4_"),
            "_RNCNCNvC3std7runtime00s_0B4_") << "no path follows";
  EXPECT_EQ(Demangle("_RNCNCNvC3std7runtime0s_0C1a"), "std::runtime::{closure#0}::{closure#1}");
  EXPECT_EQ(Demangle("_RNvMC1aNtC1a3Foo3bar"), "<a::Foo>::bar");
  EXPECT_EQ(Demangle("_RNvXC1aNtC1a3FooNtC1a3Bar3baz"), "<a::Foo as a::Bar>::baz");
  EXPECT_EQ(Demangle("_RIC1aRhQlPcOeAtj3_SyTbEThuEE"),
            "a::<&u8, &mut i32, *const char, *mut str, [u16; 3], [u64], (bool,), (u8, ())>");
  EXPECT_EQ(Demangle("_RIC1aFG_RL0_hKCEuE"), "_RIC1aFG_RL0_hKCEuE");
  EXPECT_EQ(Demangle("_RIC1aFUKCRhEuFjElE"),
            "a::<unsafe extern \"C\" fn(&u8), fn(usize) -> i32>");
  EXPECT_EQ(Demangle("_RIC1aFG_RL0_hERL0_hE"), "a::<for<'a> fn(&'a u8) -> &'a u8>");
  EXPECT_EQ(Demangle("_RIC1aDNtC1a3FoopNtB2_3BarlNtC1a4SendEL_E").substr(0, 1), "_");
  EXPECT_EQ(Demangle("_RIC1aDNtC1a3Foop3BarlNtC1a4SendEL_E"),
            "a::<dyn a::Foo<Bar = i32> + a::Send>");
  EXPECT_EQ(Demangle("_RIC1aKb1_Kan5_Kc78_Kj1f_KpE"), "a::<true, -5, 'x', 31, _>");
}

TEST(DemangleTest, NewerRustNamesThatReferToThemselvesEnd) {
  for (const char* name : {"_RB_", "_RNvB_1a", "_RIC1aB_E", "_RIC1aTB4_B4_EE", "_RNvNvNvNv"}) {
    EXPECT_EQ(Demangle(name), name);
  }
  std::string nested = "_RIC1a";
  for (int i = 0; i < 5000; ++i) nested += "R";
  EXPECT_EQ(Demangle(nested + "hE"), nested + "hE");
}

// A pair of units, and `count` more whose halves both refer to the pair before.
std::string PairsOfPairs(int count) {
  constexpr char kDigits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  std::string name = "_RIC1a";
  size_t pair = name.size() - 2;  // offsets do not count the prefix
  name += "TuuE";
  for (int i = 0; i < count; ++i) {
    std::string digits;
    for (size_t rest = pair - 1; rest != 0 || digits.empty(); rest /= 62) {
      digits.insert(digits.begin(), kDigits[rest % 62]);
    }
    pair = name.size() - 2;
    absl::StrAppend(&name, "TB", digits, "_B", digits, "_E");
  }
  return name + "E";
}

TEST(DemangleTest, NewerRustNamesThatGrowWithoutEndAreLeftAsTheyAre) {
  EXPECT_EQ(Demangle(PairsOfPairs(2)),
            "a::<((), ()), (((), ()), ((), ())), ((((), ()), ((), ())), (((), ()), ((), ())))>");
  EXPECT_LT(Demangle(PairsOfPairs(8)).size(), 8192u);
  EXPECT_GT(Demangle(PairsOfPairs(8)).size(), 3000u);
  EXPECT_EQ(Demangle(PairsOfPairs(40)), PairsOfPairs(40));
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
