#include "helpers/perfmap/jit_name.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace jprof {
namespace {

// "name" or "name|file" or "name|file:line", behind the tier where there is one.
std::string Parsed(absl::string_view text) {
  const JitName name = ParseJitName(text);
  std::string result(name.tier == 0 ? "" : absl::StrCat(std::string(1, name.tier), "|"));
  absl::StrAppend(&result, name.name);
  if (!name.file.empty() || name.start_line != 0) absl::StrAppend(&result, "|", name.file);
  if (name.start_line != 0) absl::StrAppend(&result, ":", name.start_line);
  return result;
}

struct Case {
  const char* text;
  const char* parsed;
};
void Check(const std::vector<Case>& cases) {
  for (const Case& c : cases) EXPECT_EQ(Parsed(c.text), c.parsed) << c.text;
}

TEST(JitNameTest, V8HasNameFileLineAndTier) {
  Check({{"LazyCompile:*leaf /tmp/w.js:1", "*|leaf|/tmp/w.js:1"},
         {"Function:^leaf /tmp/w.js:12", "^|leaf|/tmp/w.js:12"},
         {"JS:~leaf /tmp/w.js:1:14", "~|leaf|/tmp/w.js:1"},
         {"JS:o+leaf /tmp/w.js:7:14", "+|leaf|/tmp/w.js:7"},
         {"JS:*'leaf /tmp/w.js:7:14", "*|leaf|/tmp/w.js:7"},
         {"JS:o* /tmp/w.js:1:1", "*|(anonymous)|/tmp/w.js:1"},
         {"Function:^ /tmp/w.js:1", "^|(anonymous)|/tmp/w.js:1"},
         {"JS:*only /tmp/w.js:1:1", "*|only|/tmp/w.js:1"},
         {"JS:~o /tmp/w.js:1:1", "~|o|/tmp/w.js:1"},
         {"JS:*get size /srv/my app/a b.js:3:5", "*|get size|/srv/my app/a b.js:3"},
         {"JS:*f file:///srv/a.mjs:3:5", "*|f|file:///srv/a.mjs:3"},
         {"LazyCompile:~require node:internal/modules/cjs/loader:1028",
          "~|require|node:internal/modules/cjs/loader:1028"},
         {"LazyCompile:~load internal/modules/cjs/loader.js:927",
          "~|load|internal/modules/cjs/loader.js:927"},
         {"JS:*noplace", "*|noplace"},
         {"Script:~ evalmachine.<anonymous>:1:1", "~|(anonymous)|evalmachine.<anonymous>:1"}});
  EXPECT_TRUE(IsV8FunctionName("JS:o+leaf /tmp/w.js:7:14"));
  EXPECT_FALSE(IsV8FunctionName("Function:leaf"));
  EXPECT_FALSE(IsV8FunctionName("Builtin:RecordWrite"));
}

TEST(JitNameTest, CodeOfV8ThatIsNoFunctionStaysAsItIs) {
  Check({{"Builtin:RecordWrite", "Builtin:RecordWrite"},
         {"BytecodeHandler:LdaZero", "BytecodeHandler:LdaZero"},
         {"RegExp:a+b:3", "RegExp:a+b:3"},
         {"RegExp.< src: 'a+b' flags: ''", "RegExp.< src: 'a+b' flags: ''"}});
}

TEST(JitNameTest, JscHasTheTierAndAHash) {
  Check({{"JSC-Baseline: leaf#DZJMqK", "^|leaf"},
         {"JSC-FTL: /srv/w.js#DZJMqK", "*|(program)|/srv/w.js"},
         {"JSC-DFG: a#b#DZJMqK", "+|a#b"},
         {"JSC-Thunk: DefaultCall", "JSC-Thunk: DefaultCall"}});
}

TEST(JitNameTest, HotSpotHasTypesAndAddressesOfHiddenClasses) {
  Check(
      {{"long Hot$Inner.sum(int[], java.lang.Object, java.lang.String[])",
        "Hot$Inner.sum(int[], java.lang.Object, java.lang.String[])"},
       {"java.lang.Object java.lang.invoke.LambdaForm$MH/0x00007fb864001000.invoke(java.lang.Object)",
        "java.lang.invoke.LambdaForm$MH.invoke(java.lang.Object)"},
       {"long Hot$$Lambda$1/0x00007fb864000c18.applyAsLong(long)",
        "Hot$$Lambda$1.applyAsLong(long)"},
       {"void java.util.stream.PipelineHelper.<init>()",
        "java.util.stream.PipelineHelper.<init>()"},
       {"I2C/C2I adapters", "I2C/C2I adapters"},
       {"StubRoutines (1)", "StubRoutines (1)"},
       {"_new_instance_Java", "_new_instance_Java"},
       {"register_finalizer Runtime1 stub", "register_finalizer Runtime1 stub"}});
}

TEST(JitNameTest, ClassSignaturesOfJvmtiReadAsJava) {
  Check({{"Ljava/lang/String;hashCode()I", "java.lang.String.hashCode"},
         {"Ljava/util/HashMap;put(Ljava/lang/Object;Ljava/lang/Object;)Ljava/lang/Object;",
          "java.util.HashMap.put"},
         {"Ljava/lang/Thread;::run", "java.lang.Thread.run"},
         {"Lost;", "Lost;"},
         {"L;f()V", "L;f()V"},
         {"Local variable; (none)", "Local variable; (none)"}});
}

TEST(JitNameTest, DotNetHasTypeModuleAndTier) {
  Check(
      {{"int32 [app] Shop.Cart::Total(int32)[OptimizedTier1]", "*|Shop.Cart::Total(int32)"},
       {"instance void [System.Private.CoreLib] System.Threading.Thread::StartCore()[PreJIT]",
        "System.Threading.Thread::StartCore()"},
       {"class [System.Runtime]System.String [app] A::B(class [X]Y)[Tier0]", "^|A::B(class [X]Y)"},
       {"void [app] dynamicClass::IL_STUB_PInvoke(int32)", "dynamicClass::IL_STUB_PInvoke(int32)"},
       {"stub<12> AllocateTemporaryEntryPoints<PRECODE_FIXUP>",
        "stub<12> AllocateTemporaryEntryPoints<PRECODE_FIXUP>"}});
}

TEST(JitNameTest, PythonHasTheFile) {
  Check({{"py::Cart.total:/srv/app.py", "Cart.total|/srv/app.py"},
         {"py::<module>:<frozen importlib._bootstrap>", "<module>|<frozen importlib._bootstrap>"},
         {"py::odd", "py::odd"}});
}

TEST(JitNameTest, BeamHasADollar) {
  Check({{"$lists:map/2", "lists:map/2"},
         {"$hot:'-loop/1-fun-0-'/1", "hot:'-loop/1-fun-0-'/1"},
         {"$global::apply_fun_shared", "global::apply_fun_shared"},
         {"hot:sum/2", "hot:sum/2"},
         {"$x", "$x"}});
}

TEST(JitNameTest, PhpHasFunctionsAndTraces) {
  Check({{"JIT$Shop::total", "Shop::total"},
         {"JIT$/srv/hot.php", "(program)|/srv/hot.php"},
         {"JIT$$interrupt_handler", "JIT$$interrupt_handler"},
         {"TRACE-1$Shop::total$2", "trace of Shop::total|:2"},
         {"TRACE-3-1$/srv/hot.php$4", "trace of (program)|/srv/hot.php:4"},
         {"TRACE-x$f$4", "TRACE-x$f$4"},
         {"TRACE-1$4", "TRACE-1$4"},
         {"TRACE-1$f$", "TRACE-1$f$"}});
}

TEST(JitNameTest, LuaJitHasTraces) {
  Check({{"TRACE_12::app.lua:34", "trace|app.lua:34"},
         {"TRACE_::app.lua:34", "TRACE_::app.lua:34"},
         {"TRACE_12::app.lua", "TRACE_12::app.lua"}});
}

TEST(JitNameTest, OtherTextsAreNamesAsTheyAre) {
  Check({{"", ""},
         {"JS:*", "JS:*"},
         {"JSC-FTL: #abc", "JSC-FTL: #abc"},
         {"JIT$", "JIT$"},
         {"py:::", "py:::"},
         {"int std::max<int>(int, int)", "int std::max<int>(int, int)"},
         {"void foo(int)", "void foo(int)"},
         {"julia_f_12", "julia_f_12"},
         {"wasm[0]::function[12]::f", "wasm[0]::function[12]::f"}});
}

}  // namespace
}  // namespace jprof
