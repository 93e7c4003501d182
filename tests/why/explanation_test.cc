#include "profiler/why/explanation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <utility>

#include "profiler/why/busy.h"

namespace jprof {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

FrameFacts Script(std::string name, std::string place) {
  return {std::move(name), std::move(place), FrameKind::kScript};
}
FrameFacts Native(std::string name) { return {std::move(name), "", FrameKind::kNative}; }

ThreadFacts Thread(Tid tid, char state) {
  ThreadFacts thread;
  thread.tid = tid;
  thread.name = "app";
  thread.state = thread.first_state = state;
  return thread;
}

ThreadFacts Waiting(Tid tid, Wait::Kind kind) {
  ThreadFacts thread = Thread(tid, 'S');
  thread.wait.kind = kind;
  thread.wait.call = "call()";
  return thread;
}

Facts Watched(std::vector<ThreadFacts> threads) {
  Facts facts;
  facts.pid = threads[0].tid;
  facts.name = "app";
  facts.state = threads[0].state;
  facts.seconds = 1;
  facts.threads = std::move(threads);
  return facts;
}

// Samples of the main thread, the stack that is given first so many times.
void AddSamples(Facts& facts, size_t count, std::vector<FrameFacts> stack) {
  facts.stacks.push_back(std::move(stack));
  for (size_t i = 0; i < count; ++i) {
    facts.samples.push_back({facts.pid, static_cast<uint32_t>(facts.stacks.size() - 1)});
  }
}

Facts Busy() {
  ThreadFacts thread = Thread(10, 'R');
  thread.cpu_ns = 990'000'000;
  return Watched({thread});
}

TEST(ExplanationTest, TheInnermostFunctionThatNearlyAllSamplesShareIsNamed) {
  Facts facts = Busy();
  AddSamples(
      facts, 60,
      {Native("memcpy"), Script("inner", "a.js:3"), Script("outer", "a.js:9"), Native("main")});
  AddSamples(facts, 30, {Script("inner", "a.js:4"), Script("outer", "a.js:9"), Native("main")});
  AddSamples(facts, 5, {Script("outer", "a.js:8"), Native("main")});
  const Explanation explanation = Explain(facts);
  EXPECT_EQ(explanation.cause, "spinning");
  EXPECT_EQ(explanation.sentence, "spinning in inner a.js:3 (95 % of 95 samples)");
}

TEST(ExplanationTest, WhatIsSpreadIsNotSaidToSpinAnywhere) {
  Facts facts = Busy();
  for (int i = 0; i < 10; ++i) {
    AddSamples(
        facts, 9,
        {Script("handler" + std::to_string(i), "a.js:" + std::to_string(i)), Native("main")});
  }
  EXPECT_THAT(Explain(facts).sentence,
              AllOf(HasSubstr("busy in no single place"), Not(HasSubstr("spinning"))));
}

TEST(ExplanationTest, OneThatWaitsNowAndThenIsBusyAndDoesNotSpin) {
  Facts facts = Busy();
  facts.threads[0].sleeps = 3;
  AddSamples(facts, 90, {Native("work"), Native("main")});
  EXPECT_EQ(Explain(facts).sentence, "busy in work (100 % of 90 samples)");
}

TEST(ExplanationTest, HalfOfTheSamplesInTheCollectorAreAThrash) {
  Facts facts = Busy();
  AddSamples(facts, 50, {Native("v8::internal::Heap::CollectGarbage()"), Script("fill", "a.js:1")});
  AddSamples(facts, 40, {Script("fill", "a.js:1")});
  EXPECT_EQ(Explain(facts).cause, "gc");
  EXPECT_THAT(Explain(facts).sentence,
              HasSubstr("collecting garbage in 56 % of 90 samples, below fill a.js:1"));
}

TEST(ExplanationTest, ThreadsThatShareACollectorsWorkAreAThrashTogether) {
  std::vector<ThreadFacts> threads = {Waiting(10, Wait::Kind::kLock),
                                      Waiting(11, Wait::Kind::kLock),
                                      Waiting(12, Wait::Kind::kLock)};
  for (ThreadFacts& thread : threads) thread.cpu_ns = 300'000'000;
  Facts facts = Watched(std::move(threads));
  AddSamples(facts, 20, {Native("v8::internal::Heap::CollectGarbage()"), Script("fill", "a.js:1")});
  AddSamples(facts, 60, {Native("v8::internal::ConcurrentMarking::RunMajor()")});
  for (size_t i = 20; i < 80; ++i) facts.samples[i].tid = i % 2 == 0 ? 11 : 12;
  EXPECT_THAT(Explain(facts).sentence,
              HasSubstr("collecting garbage in 100 % of 80 samples, below fill a.js:1"));
  // Whichever of them is the busiest.
  facts.threads[1].cpu_ns = 800'000'000;
  EXPECT_THAT(Explain(facts).sentence, HasSubstr(", below fill a.js:1"));
  // As often, but for a small part of the time.
  for (ThreadFacts& thread : facts.threads) thread.cpu_ns = 100'000'000;
  EXPECT_NE(Explain(facts).cause, "gc");
}

TEST(ExplanationTest, AMatcherIsTheRuntimesAndNotAFunctionOfThatName) {
  EXPECT_TRUE(IsRegExp({"RegExpPrototypeTest", "", FrameKind::kBuiltin}));
  EXPECT_FALSE(IsRegExp(Script("parseRegExp", "a.js:1")));
}

TEST(ExplanationTest, ACircleOfLocksIsADeadlockAndARowIsNot) {
  std::vector<ThreadFacts> threads = {Waiting(10, Wait::Kind::kLock),
                                      Waiting(11, Wait::Kind::kLock),
                                      Waiting(12, Wait::Kind::kLock)};
  threads[0].wait.owner = 11;
  threads[1].wait.owner = 12;
  EXPECT_EQ(Explain(Watched(threads)).cause, "lock");
  threads[2].wait.owner = 11;  // the first one waits for the circle
  const Explanation explanation = Explain(Watched(threads));
  EXPECT_EQ(explanation.cause, "deadlock");
  EXPECT_THAT(explanation.sentence,
              HasSubstr("thread 11 app waits for a lock that thread 12 holds"));
  threads[2].wait.owner = 0;  // not known
  EXPECT_EQ(Explain(Watched(threads)).cause, "lock");
}

TEST(ExplanationTest, AnUnknownHolderIsNotGuessed) {
  EXPECT_THAT(Explain(Watched({Waiting(10, Wait::Kind::kLock)})).sentence,
              HasSubstr("a lock whose holder cannot be told"));
}

TEST(ExplanationTest, AFullPipeNamesItsReaderOrSaysThatThereIsNone) {
  ThreadFacts thread = Waiting(10, Wait::Kind::kPipeWrite);
  thread.wait.object = "a pipe";
  thread.wait.full = true;
  EXPECT_THAT(
      Explain(Watched({thread})).sentence,
      HasSubstr("blocked in a write to a full pipe; no reader of another process was found"));
  thread.wait.others = {99};
  Facts facts = Watched({thread});
  facts.others[99] = {"log", "sleeps in pause()"};
  EXPECT_THAT(Explain(facts).sentence, HasSubstr("whose reader log (pid 99) sleeps in pause()"));
}

TEST(ExplanationTest, ACircleOfReadersIsADeadlockOnlyIfNobodyElseMayWrite) {
  ThreadFacts thread = Waiting(10, Wait::Kind::kPipeRead);
  thread.wait.object = "a pipe";
  thread.wait.others = {99};
  Wait other = thread.wait;
  other.others = {10};
  thread.chain.links = {{10, 10, thread.wait, true}, {99, 99, other, true}};
  thread.chain.closed = true;
  EXPECT_EQ(Explain(Watched({thread})).cause, "deadlock");
  ThreadFacts pool = thread;  // has the writing end open as well
  pool.chain.links[0].wait.self_too = true;
  EXPECT_EQ(Explain(Watched({pool})).cause, "pipe-empty");
  ThreadFacts parent = thread;  // whose other threads may write
  parent.chain.links[0].only_thread = false;
  EXPECT_EQ(Explain(Watched({parent})).cause, "pipe-empty");
  ThreadFacts third = thread;
  third.chain.links[1].wait.others = {10, 100};
  EXPECT_EQ(Explain(Watched({third})).cause, "pipe-empty");
  thread.sleeps = 1;
  EXPECT_EQ(Explain(Watched({thread})).cause, "pipe-empty");
}

TEST(ExplanationTest, AnotherThreadsTroubleIsToldBeforeTheIdleLoop) {
  ThreadFacts blocked = Waiting(11, Wait::Kind::kQueueSend);
  blocked.wait.object = "System V message queue 3";
  blocked.wait.full = true;
  const Explanation explanation = Explain(Watched({Waiting(10, Wait::Kind::kEvents), blocked}));
  EXPECT_THAT(explanation.sentence,
              HasSubstr("thread 11 app: blocked in sending to System V message queue 3"));
  EXPECT_EQ(explanation.cause, "queue-full");
}

TEST(ExplanationTest, WhatLastsIsToldBeforeWhatOneLookMet) {
  ThreadFacts passing = Waiting(10, Wait::Kind::kQueueSend),
              stuck = Waiting(11, Wait::Kind::kQueueSend);
  passing.wait.object = "System V message queue 3";
  stuck.wait.object = "System V message queue 4";
  passing.sleeps = 100;
  EXPECT_THAT(Explain(Watched({passing, stuck})).sentence, HasSubstr("System V message queue 4"));
  EXPECT_THAT(Explain(Watched({passing})).sentence, HasSubstr("System V message queue 3"));
}

// A thread that was and is in an epoll of libuv's.
ThreadFacts InLoop(std::vector<FrameFacts> callers) {
  ThreadFacts thread = Waiting(10, Wait::Kind::kEvents);
  thread.wait.object = "epoll of 4 files";
  thread.wait.made = thread.first_call = SystemCall{SYS_epoll_wait, {7}};
  thread.frames = {Native("epoll_wait"), Native("uv__io_poll"), Native("uv_run")};
  thread.frames.insert(thread.frames.end(), callers.begin(), callers.end());
  return thread;
}

TEST(ExplanationTest, ALoopThatNeverWokeUpIsNotCalledAlive) {
  ThreadFacts loop = InLoop({Native("node::Start"), Native("main")});
  EXPECT_THAT(
      Explain(Watched({loop})).sentence,
      AllOf(HasSubstr("event loop idle"), HasSubstr("nothing came"), Not(HasSubstr("alive"))));
  loop.sleeps = 4;
  EXPECT_THAT(Explain(Watched({loop})).sentence, HasSubstr("alive and idle: it woke up 4 times"));
  loop.wait.made->arguments[0] = 8;  // the stack is of another wait
  EXPECT_THAT(Explain(Watched({loop})).sentence, Not(HasSubstr("event loop")));
}

TEST(ExplanationTest, ALoopWithinAScriptsFunctionIsNotIdle) {
  const ThreadFacts nested = InLoop({Native("waitForAnswer"), Script("save", "a.js:7")});
  const Explanation explanation = Explain(Watched({nested}));
  EXPECT_NE(explanation.cause, "idle");
  EXPECT_THAT(explanation.sentence,
              AllOf(HasSubstr("waits in save a.js:7 for events of epoll of 4 files"),
                    Not(HasSubstr("event loop"))));
}

TEST(ExplanationTest, WhatIsNotSeenToBeALoopIsNotCalledOne) {
  ThreadFacts thread = InLoop({Native("main")});
  auto sentence = [&] { return Explain(Watched({thread})).sentence; };
  ASSERT_THAT(sentence(), HasSubstr("event loop"));
  const std::vector<FrameFacts> whole = thread.frames;
  thread.frames.insert(thread.frames.begin() + 2, Native("onReadable"));  // waits by itself
  EXPECT_THAT(sentence(), Not(HasSubstr("event loop")));
  thread.frames = {Native("epoll_wait"), Native("waitForReply"), Native("main")};
  EXPECT_THAT(sentence(), Not(HasSubstr("event loop")));
  thread.frames = whole;  // a loop in a loop's callback
  thread.frames.insert(thread.frames.end() - 1, {Native("callback"), Native("uv_run")});
  EXPECT_THAT(sentence(), Not(HasSubstr("event loop")));
  thread.frames = whole;
  thread.frames.back() = {"[truncated]", "", FrameKind::kMarker};
  EXPECT_THAT(sentence(), AllOf(Not(HasSubstr("event loop")), HasSubstr("its stack is cut")));
  thread.frames = whole;
  thread.wait.kind = Wait::Kind::kPoll;
  EXPECT_THAT(sentence(), Not(HasSubstr("event loop")));
}

TEST(ExplanationTest, AChildThatANestedLoopWaitsForIsNamedIfItIsTheOnlyOne) {
  Facts facts = Watched({InLoop(
      {Native("node::SyncProcessRunner::Run"), Script("backup", "a.js:1"), Native("main")})});
  EXPECT_EQ(Explain(facts).sentence, "waits for a child to exit in backup a.js:1");
  facts.children = {99};
  facts.others[99] = {"tar", "sleeps in pause()"};
  EXPECT_EQ(Explain(facts).cause, "child");
  EXPECT_EQ(Explain(facts).sentence,
            "waits for a child to exit in backup a.js:1, its only living one: tar (pid 99), which "
            "sleeps in pause()");
  facts.children = {98, 99};
  facts.others[98] = {"cat", "runs"};
  EXPECT_THAT(Explain(facts).sentence, HasSubstr("; its children: cat (pid 98) runs and tar"));
}

TEST(ExplanationTest, WhatIsPolledIsNamed) {
  ThreadFacts thread = Waiting(10, Wait::Kind::kPoll);
  thread.wait.object = "tcp 10.0.0.1:5 -> 10.0.0.2:80";
  thread.wait.limit_s = 30;
  EXPECT_EQ(Explain(Watched({thread})).sentence,
            "waits for data from tcp 10.0.0.1:5 -> 10.0.0.2:80, for 30 s at most; nothing came "
            "within 1.0 s");
  thread.wait.to_write = true;
  EXPECT_THAT(Explain(Watched({thread})).sentence, HasSubstr("waits to write to tcp"));
  thread.wait.object = "tcp 10.0.0.1:80 listening";
  EXPECT_THAT(Explain(Watched({thread})).sentence, HasSubstr("waits for a connection to tcp"));
  thread.wait.object = "one of 2 files: 3<pipe:[1]>, 4<pipe:[2]>";
  EXPECT_THAT(Explain(Watched({thread})).sentence,
              HasSubstr("waits for events of one of 2 files: 3<pipe:[1]>, 4<pipe:[2]>, for 30 s"));
  thread.wait.object = "a pipe";
  thread.wait.to_write = false;
  EXPECT_THAT(Explain(Watched({thread})).sentence,
              HasSubstr("waits for data from a pipe, for 30 s at most; no writer of another "
                        "process was found; nothing came"));
  thread.wait.awaited = {99};
  Facts facts = Watched({thread});
  facts.others[99] = {"tar", "runs"};
  EXPECT_EQ(Explain(facts).cause, "child");
  EXPECT_THAT(Explain(facts).sentence, HasSubstr("waits for the end of tar (pid 99), which runs"));
}

TEST(ExplanationTest, AWaitWithALimitIsNoDeadlock) {
  ThreadFacts thread = Waiting(10, Wait::Kind::kPipeRead);
  thread.wait.object = "a pipe";
  thread.wait.others = {99};
  Wait other = thread.wait;
  other.kind = Wait::Kind::kPoll;
  other.others = {10};
  thread.chain.links = {{10, 10, thread.wait, true}, {99, 99, other, true}};
  thread.chain.closed = true;
  EXPECT_EQ(Explain(Watched({thread})).cause, "deadlock");
  thread.chain.links[1].wait.limit_s = 5;
  EXPECT_EQ(Explain(Watched({thread})).cause, "pipe-empty");
}

TEST(ExplanationTest, WhatCalledIsSaidNotToBeSeenWhereTheStackIsCut) {
  ThreadFacts thread = Waiting(10, Wait::Kind::kPipeWrite);
  thread.wait.object = "a pipe";
  FrameFacts inner = Native("uv__fs_work");
  inner.of_program = true;
  thread.frames = {inner, Native("main")};
  EXPECT_THAT(Explain(Watched({thread})).evidence, Contains("called in uv__fs_work"));
  thread.frames[1] = {"[truncated]", "", FrameKind::kMarker};
  EXPECT_THAT(
      Explain(Watched({thread})).evidence,
      Contains("called in uv__fs_work (what called it is not seen: its stack is cut)"));
}

TEST(ExplanationTest, OneThatTheInspectorHoldsIsSaidToBe) {
  ThreadFacts thread = Waiting(10, Wait::Kind::kLock);
  thread.frames = {Native("uv_cond_wait"),
                   Native("node::inspector::MainThreadInterface::WaitForFrontendEvent()"),
                   Native("node::inspector::Agent::WaitForConnectByOptions()")};
  EXPECT_EQ(Explain(Watched({thread})).cause, "inspector");
  EXPECT_THAT(Explain(Watched({thread})).sentence, HasSubstr("--inspect-brk"));
  thread.frames.push_back(Script("stopHere", "a.js:3"));
  EXPECT_THAT(Explain(Watched({thread})).sentence, HasSubstr("it stands in stopHere a.js:3"));
  thread.frames.erase(thread.frames.begin() + 1);
  EXPECT_EQ(Explain(Watched({thread})).cause, "futex");
}

TEST(TellingPlaceTest, TheProgramsBeginningTellsNothing) {
  FrameFacts start = Native("_start"), libc = Native("__libc_start_main"), main = Native("Py_Main");
  FrameFacts wait = Native("pthread_cond_wait"), lock = Native("PyThread_acquire_lock");
  start.of_program = true;
  libc.of_libc = wait.of_libc = true;
  EXPECT_EQ(TellingPlace({wait, lock, main, libc, start}), "PyThread_acquire_lock");
  EXPECT_EQ(TellingPlace({wait, libc, start}), "");
  main.of_program = true;
  EXPECT_EQ(TellingPlace({wait, lock, main, libc, start}), "Py_Main");
}

TEST(ExplanationTest, AThreadInAQueueForTheCpuIsNotIdle) {
  EXPECT_EQ(Explain(Watched({Thread(10, 'R')})).cause, "busy");
}

}  // namespace
}  // namespace jprof
