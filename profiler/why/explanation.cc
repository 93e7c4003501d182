#include "profiler/why/explanation.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "profiler/why/busy.h"
#include "profiler/why/nested.h"

namespace jprof {
namespace {

// A thread that wants the CPU for this share of the time is busy; for nearly all of it, it spins.
constexpr double kBusy = 0.5;
constexpr double kSpins = 0.95;
constexpr size_t kSamplesOfSpin = 10;  // at least, for such a claim
constexpr size_t kMaxOthersNamed = 3;
constexpr size_t kMaxThreadLines = 12;

using Kind = Wait::Kind;

std::string Percent(double share) { return absl::StrFormat("%.0f %%", 100 * share); }

std::string ShareText(size_t part, size_t all) {
  return absl::StrFormat("%.0f %% of %d samples",
                         100 * static_cast<double>(part) / static_cast<double>(all), all);
}

std::string SecondsText(double seconds) {
  return seconds >= 10 ? absl::StrFormat("%.0f s", seconds) : absl::StrFormat("%.3f s", seconds);
}

std::string In(const std::string& place) {
  return place.empty() ? "" : absl::StrCat(" in ", place);
}

// Of one whose place is told.
absl::string_view CutText(const ThreadFacts& thread) {
  return IsCut(thread.frames) ? " (what called it is not seen: its stack is cut)" : "";
}

// Nothing moved all the time: only then do two looks at two threads tell of one and the same
// moment.
bool StoodStill(const ThreadFacts& thread) {
  return thread.was_there && thread.sleeps == 0 && thread.cpu_ns == 0;
}

bool IsRead(Kind kind) {
  return kind == Kind::kPipeRead || kind == Kind::kSocketRead || kind == Kind::kQueueReceive ||
         kind == Kind::kPoll;
}

// Whether nobody is left who could end the waiting. Who waits for room, waits for a reader that is
// in the circle; but who waits for data, for any of those who might write them.
bool IsDeadlocked(const ThreadFacts& thread) {
  const std::vector<WaitChain::Link>& links = thread.chain.links;
  if (!thread.chain.closed || !StoodStill(thread)) return false;
  if (std::any_of(links.begin(), links.end(),
                  [](const WaitChain::Link& link) { return link.wait.limit_s.has_value(); })) {
    return false;
  }
  auto is_link = [&](Pid pid) {
    return std::any_of(links.begin(), links.end(),
                       [pid](const WaitChain::Link& link) { return link.pid == pid; });
  };
  const bool reads = std::any_of(links.begin(), links.end(), [](const WaitChain::Link& link) {
    return IsRead(link.wait.kind);
  });
  return !reads || std::all_of(links.begin(), links.end(), [&](const WaitChain::Link& link) {
    return link.only_thread && !link.wait.self_too &&
           std::all_of(link.wait.others.begin(), link.wait.others.end(), is_link);
  });
}

class Explainer {
 public:
  explicit Explainer(const Facts& facts) : facts_(facts) {}

  Explanation Explain();

 private:
  bool ExplainState();
  void ExplainBusy(const ThreadFacts& thread, double wanted);
  bool CollectsMost() const;
  std::string WhoseGarbage(const BusyFacts& busy) const;
  bool ExplainDeadlock();
  void ExplainLock(const ThreadFacts& thread);
  bool ExplainProblem(const ThreadFacts& thread);
  bool ExplainOtherEnd(const ThreadFacts& thread);
  void ExplainIdle(const ThreadFacts& main);
  void ExplainEvents(const ThreadFacts& thread);

  void Say(absl::string_view cause, std::string sentence) {
    explanation_.cause = std::string(cause);
    explanation_.sentence = std::move(sentence);
  }
  void Add(std::string line) {
    if (!line.empty()) explanation_.evidence.push_back(std::move(line));
  }
  void AddThread(const ThreadFacts& thread);
  void AddOthers();

  const ThreadFacts* Find(Tid tid) const;
  double Wanted(const ThreadFacts& thread) const;
  std::string Used(const ThreadFacts& thread) const;
  std::string Children(const ThreadFacts& thread) const;
  std::string PolledText(const Wait& wait, absl::string_view limit) const;
  std::string Name(const ThreadFacts& thread) const;
  std::string OtherText(Pid pid) const;
  std::string Does(const std::vector<Pid>& pids, absl::string_view relation = " ") const;
  std::string Which(const std::vector<Pid>& pids) const { return Does(pids, ", which "); }
  std::string OthersText(const std::vector<Pid>& pids, absl::string_view role) const;

  const Facts& facts_;
  Explanation explanation_;
};

const ThreadFacts* Explainer::Find(Tid tid) const {
  for (const ThreadFacts& thread : facts_.threads) {
    if (thread.tid == tid) return &thread;
  }
  return nullptr;
}

// The share of the time in which it ran, or would have if there had been a CPU. The kernel counts
// the time in a queue when it is over.
double Explainer::Wanted(const ThreadFacts& thread) const {
  if (facts_.seconds <= 0) return 0;
  if (thread.state == 'R' && thread.first_state == 'R' && thread.was_there && thread.sleeps == 0) {
    return 1;
  }
  return std::min(1.0,
                  static_cast<double>(thread.cpu_ns + thread.queued_ns) / 1e9 / facts_.seconds);
}

std::string Explainer::Name(const ThreadFacts& thread) const {
  if (facts_.threads.size() == 1) return "it";
  if (thread.tid == facts_.pid) return "its main thread";
  return absl::StrCat("thread ", thread.tid, " ", thread.name);
}

std::string Explainer::OtherText(Pid pid) const {
  auto found = facts_.others.find(pid);
  return found == facts_.others.end() ? absl::StrCat("process ", pid)
                                      : absl::StrCat(found->second.name, " (pid ", pid, ")");
}

// "cat (pid 12) sleeps in ...", or with `relation` between the two.
std::string Explainer::Does(const std::vector<Pid>& pids, absl::string_view relation) const {
  std::vector<std::string> texts;
  for (size_t i = 0; i < std::min(pids.size(), kMaxOthersNamed); ++i) {
    auto found = facts_.others.find(pids[i]);
    const std::string name = OtherText(pids[i]);
    texts.push_back(found == facts_.others.end()
                        ? name
                        : absl::StrCat(name, relation, found->second.does));
  }
  if (pids.size() > kMaxOthersNamed) {
    texts.push_back(absl::StrCat(pids.size() - kMaxOthersNamed, " more"));
  }
  return absl::StrJoin(texts, " and ");
}

// ", whose reader cat (pid 12) sleeps in ...".
std::string Explainer::OthersText(const std::vector<Pid>& pids, absl::string_view role) const {
  if (pids.empty()) return absl::StrCat("; no ", role, " of another process was found");
  return absl::StrCat(", whose ", role, " ", Does(pids));
}

void Explainer::AddThread(const ThreadFacts& thread) {
  std::string line = absl::StrCat("thread ", thread.tid, " ", thread.name, ": ");
  const double wanted = Wanted(thread);
  if (thread.wait.kind == Kind::kNone) {
    absl::StrAppend(&line, thread.state == 'R' ? "runs" : "in no system call");
  } else {
    absl::StrAppend(&line, thread.wait.uninterruptible ? "uninterruptible in " : "in ",
                    thread.wait.call);
    if (!thread.wait.kernel_function.empty()) {
      absl::StrAppend(&line, " (", thread.wait.kernel_function, ")");
    }
  }
  if (facts_.seconds > 0) {
    absl::StrAppend(
        &line, thread.cpu_ns == 0 && thread.was_there
                   ? ", did not run"
                   : absl::StrFormat(", %s of a CPU", Percent(static_cast<double>(thread.cpu_ns) /
                                                              1e9 / facts_.seconds)));
    if (wanted - static_cast<double>(thread.cpu_ns) / 1e9 / facts_.seconds > 0.1) {
      absl::StrAppend(&line, ", ", Percent(wanted), " with the time that it waited for one");
    }
  }
  const std::string place = TellingPlace(thread.frames);
  if (!place.empty()) absl::StrAppend(&line, ", at ", place, CutText(thread));
  Add(std::move(line));
}

bool Explainer::ExplainState() {
  if (facts_.state == 'Z' || facts_.state == 'X') {
    std::string sentence = "has exited";
    if (!facts_.ended.empty()) absl::StrAppend(&sentence, " (", facts_.ended, ")");
    absl::StrAppend(&sentence, " and is a zombie");
    if (facts_.parent != 0) {
      absl::StrAppend(&sentence, ": its parent ", OtherText(facts_.parent),
                      " has not waited for it");
      auto parent = facts_.others.find(facts_.parent);
      if (parent != facts_.others.end()) Add(absl::StrCat("the parent ", parent->second.does));
    }
    Say("zombie", std::move(sentence));
    return true;
  }
  const ThreadFacts* main = Find(facts_.pid);
  const std::string at = main == nullptr ? "" : In(TellingPlace(main->frames));
  if (facts_.state == 't') {
    Say("debugger", absl::StrCat("stopped by a debugger",
                                 facts_.tracer != 0 ? absl::StrCat(": ", OtherText(facts_.tracer))
                                                    : std::string(),
                                 at.empty() ? "" : absl::StrCat(",", at)));
    return true;
  }
  if (facts_.state == 'T') {
    std::string sentence =
        "stopped by a signal (SIGSTOP, SIGTSTP, SIGTTIN or SIGTTOU): it waits for SIGCONT";
    if (facts_.tracer != 0) absl::StrAppend(&sentence, "; traced by ", OtherText(facts_.tracer));
    if (!at.empty()) Add(absl::StrCat("its main thread is", at));
    Say("stopped", std::move(sentence));
    return true;
  }
  if (main != nullptr && (absl::StrContains(main->wait.kernel_function, "freezer") ||
                          absl::StrContains(main->wait.kernel_function, "refrigerator"))) {
    Say("frozen", "frozen by its cgroup");
    return true;
  }
  return false;
}

// Whether the threads together spend their time in a collector: they share the work, and one who
// waits for the others sleeps, so that none of them need be busy.
bool Explainer::CollectsMost() const {
  const BusyFacts busy = LookAtSamples(facts_);
  if (busy.all == 0 || busy.gc * 2 < busy.all || facts_.seconds <= 0) return false;
  double cpu_ns = 0;
  for (const ThreadFacts& thread : facts_.threads) cpu_ns += static_cast<double>(thread.cpu_ns);
  const double share = static_cast<double>(busy.gc) / static_cast<double>(busy.all);
  return cpu_ns / 1e9 / facts_.seconds * share >= kBusy;
}

// ", below fill heap.js:3": of the busy thread, or of the main one when that is a collector's own.
std::string Explainer::WhoseGarbage(const BusyFacts& busy) const {
  for (const HotPlace& place : {busy.common, LookAtSamples(facts_, facts_.pid).common}) {
    if (!place.text.empty() && !IsCollector({place.text, "", place.kind})) {
      return absl::StrCat(", below ", place.text);
    }
  }
  return "";
}

void Explainer::ExplainBusy(const ThreadFacts& thread, double wanted) {
  const BusyFacts busy = LookAtSamples(facts_, thread.tid);
  const std::string place = busy.common.text;
  const std::string who = facts_.threads.size() == 1 || thread.tid == facts_.pid
                              ? ""
                              : absl::StrCat(", in thread ", thread.tid, " ", thread.name);
  if (busy.gc * 2 >= busy.all && busy.all > 0) {
    Say("gc",
        absl::StrCat("collecting garbage in ", ShareText(busy.gc, busy.all), WhoseGarbage(busy)));
  } else if (busy.regexp * 2 >= busy.of_thread && busy.of_thread > 0) {
    Say("regexp", absl::StrCat("matching a regular expression", In(place), " (",
                               ShareText(busy.regexp, busy.of_thread), ")", who));
  } else if (busy.of_thread == 0) {
    Say("busy",
        absl::StrCat(Name(thread), " wants a CPU ", Percent(wanted), " of the time and got ",
                     Percent(static_cast<double>(thread.cpu_ns) / 1e9 / facts_.seconds),
                     " of one, within which no sample met it", In(TellingPlace(thread.frames))));
  } else if (!place.empty()) {
    const bool spins = wanted >= kSpins && thread.sleeps == 0 && busy.of_thread >= kSamplesOfSpin;
    Say(spins ? "spinning" : "busy",
        absl::StrCat(spins ? "spinning in " : "busy in ", place, " (",
                     ShareText(busy.common.samples, busy.of_thread), ")", who));
    if (spins) Add("it did not wait for anything in that time");
  } else {
    Say("busy",
        absl::StrCat("busy in no single place: ", Percent(wanted), " of the time",
                     busy.hottest.empty()
                         ? ""
                         : absl::StrCat(", most in ", busy.hottest[0].text, " (",
                                        ShareText(busy.hottest[0].samples, busy.of_thread), ")"),
                     who));
  }
  for (const HotPlace& hot : busy.hottest) {
    Add(absl::StrCat("on top of the stack: ", hot.text, ", ",
                     ShareText(hot.samples, busy.of_thread)));
  }
  if (busy.kernel * 2 >= busy.of_thread && busy.kernel > 0) {
    Add(absl::StrCat("in the kernel: ", ShareText(busy.kernel, busy.of_thread)));
  }
  if (busy.gc > 0 && explanation_.cause != "gc") {
    Add(absl::StrCat("collecting garbage: ", ShareText(busy.gc, busy.all), " of all threads"));
  }
}

// Threads of this process that wait for locks of each other.
bool Explainer::ExplainDeadlock() {
  for (const ThreadFacts& first : facts_.threads) {
    std::vector<const ThreadFacts*> path;
    for (const ThreadFacts* at = &first;
         at != nullptr && at->wait.kind == Kind::kLock && StoodStill(*at);) {
      path.push_back(at);
      if (path.size() > facts_.threads.size()) break;
      at = Find(at->wait.owner);
      if (at != &first) continue;
      std::vector<std::string> texts;
      for (size_t i = 0; i < path.size(); ++i) {
        const ThreadFacts* holder = path[(i + 1) % path.size()];
        texts.push_back(absl::StrCat("thread ", path[i]->tid, " ", path[i]->name,
                                     In(TellingPlace(path[i]->frames)),
                                     " waits for a lock that thread ", holder->tid, " holds"));
      }
      Say("deadlock",
          absl::StrCat(path.size() == 1 ? "a thread waits for a lock of its own: " : "deadlock: ",
                       absl::StrJoin(texts, "; ")));
      for (const ThreadFacts* thread : path) AddThread(*thread);
      return true;
    }
  }
  return false;
}

void Explainer::ExplainLock(const ThreadFacts& thread) {
  std::string sentence =
      absl::StrCat(Name(thread), " waits for a lock held by thread ", thread.wait.owner);
  const ThreadFacts* owner = Find(thread.wait.owner);
  if (owner != nullptr) {
    absl::StrAppend(
        &sentence, " ", owner->name, ", which ",
        owner->wait.kind == Kind::kNone ? "runs" : absl::StrCat("is in ", owner->wait.call),
        In(TellingPlace(owner->frames)));
  }
  Say("lock", std::move(sentence));
  AddThread(thread);
  if (owner != nullptr) AddThread(*owner);
}

// Waits in which another process takes part.
bool Explainer::ExplainOtherEnd(const ThreadFacts& thread) {
  const Wait& wait = thread.wait;
  const std::string filling = wait.filling.empty() ? "" : absl::StrCat(" (", wait.filling, ")");
  const std::string full =
      wait.full ? absl::StrCat("full ", wait.object.substr(wait.object.find(' ') + 1))
                : wait.object;
  const std::string place = In(TellingPlace(thread.frames));
  struct Shape {
    Kind kind;
    absl::string_view cause, does, role;
  };
  constexpr Shape kShapes[] = {
      {Kind::kPipeWrite, "pipe-full", "blocked in a write to ", "reader"},
      {Kind::kPipeRead, "pipe-empty", "waits for data from ", "writer"},
      {Kind::kSocketConnect, "not-accepting", "waits to be accepted at ", "listener"},
      {Kind::kSocketWrite, "not-reading", "blocked in a write to ", "peer"},
      {Kind::kSocketRead, "socket-empty", "waits for data from ", "peer"},
      {Kind::kQueueReceive, "queue-empty", "waits for a message in ", "last sender"},
      {Kind::kQueueSend, "queue-full", "blocked in sending to ", "last receiver"},
  };
  const Shape* shape = nullptr;
  for (const Shape& s : kShapes) {
    if (s.kind == wait.kind) shape = &s;
  }
  if (shape == nullptr) return false;
  const bool article = wait.full && absl::StartsWith(wait.object, "a ");
  const std::string object = article ? absl::StrCat("a ", full) : wait.object;
  if (IsDeadlocked(thread)) {
    std::vector<std::string> texts;
    const auto& links = thread.chain.links;
    for (size_t i = 0; i < links.size(); ++i) {
      const Pid next = links[(i + 1) % links.size()].pid;
      const std::string who = i == 0 ? "it" : OtherText(links[i].pid);
      texts.push_back(absl::StrCat(
          who, " is in ", links[i].wait.call,
          links[i].wait.filling.empty() ? "" : absl::StrCat(" (", links[i].wait.filling, ")"),
          " and needs ", next == facts_.pid ? "this process" : OtherText(next)));
    }
    Say("deadlock", absl::StrCat("deadlock across processes: ", absl::StrJoin(texts, "; ")));
  } else {
    const bool queue_full = wait.kind == Kind::kQueueSend && wait.full;
    Say(shape->cause,
        absl::StrCat(Name(thread) == "it" ? "" : absl::StrCat(Name(thread), ": "), shape->does,
                     object, queue_full ? ", which is full" : "", filling,
                     wait.kind == Kind::kQueueSend && wait.others.empty()
                         ? ""
                         : OthersText(wait.others, shape->role)));
  }
  if (!place.empty()) Add(absl::StrCat("called", place, CutText(thread)));
  AddThread(thread);
  return true;
}

bool Explainer::ExplainProblem(const ThreadFacts& thread) {
  const Wait& wait = thread.wait;
  const std::string who = Name(thread) == "it" ? "" : absl::StrCat(Name(thread), ": ");
  const std::string place = In(TellingPlace(thread.frames));
  if (wait.kind == Kind::kVfork) {
    Say("vfork", absl::StrCat(who,
                              "in uninterruptible sleep: waits until a child that it made by vfork "
                              "executes a program or exits",
                              wait.others.empty() ? "" : absl::StrCat("; ", Does(wait.others))));
    AddThread(thread);
    return true;
  }
  if (wait.uninterruptible) {
    Say("uninterruptible",
        absl::StrCat(who, "in uninterruptible sleep",
                     wait.kernel_function.empty()
                         ? ""
                         : absl::StrCat(" in the kernel's ", wait.kernel_function),
                     wait.call.empty() ? "" : absl::StrCat(", called by ", wait.call), place));
    AddThread(thread);
    return true;
  }
  if (wait.kind == Kind::kLock && wait.owner != 0) {
    ExplainLock(thread);
    return true;
  }
  const bool other_end = wait.kind == Kind::kPipeWrite || wait.kind == Kind::kSocketConnect ||
                         wait.kind == Kind::kSocketWrite || wait.kind == Kind::kQueueSend ||
                         IsDeadlocked(thread);
  return other_end && ExplainOtherEnd(thread);
}

std::string Explainer::Used(const ThreadFacts& thread) const {
  return absl::StrFormat("%.1f %% of a CPU in %.1f s",
                         static_cast<double>(thread.cpu_ns) / 1e7 / facts_.seconds, facts_.seconds);
}

// Which child is waited for, as far as that can be told.
std::string Explainer::Children(const ThreadFacts& thread) const {
  if (!thread.wait.awaited.empty()) return absl::StrCat(": ", Which(thread.wait.awaited));
  if (facts_.children.size() == 1) {
    return absl::StrCat(", its only living one: ", Which(facts_.children));
  }
  if (facts_.children.empty()) return "";
  return absl::StrCat("; its children: ", Does(facts_.children));
}

// " for data from a pipe, for 30 s at most, whose writer ...".
std::string Explainer::PolledText(const Wait& wait, absl::string_view limit) const {
  if (wait.object.empty()) return std::string(limit);
  const bool pipe = wait.object == "a pipe";
  const std::string filling = wait.filling.empty() ? "" : absl::StrCat(" (", wait.filling, ")");
  if (absl::StartsWith(wait.object, "one of ")) {
    return absl::StrCat(" for events of ", wait.object, limit);
  }
  if (absl::EndsWith(wait.object, " listening")) {
    return absl::StrCat(" for a connection to ", wait.object, limit);
  }
  return absl::StrCat(wait.to_write ? " to write to " : " for data from ", wait.object, filling,
                      limit,
                      pipe || wait.object == "a local socket"
                          ? OthersText(wait.others, !pipe           ? "peer"
                                                    : wait.to_write ? "reader"
                                                                    : "writer")
                          : "");
}

// Waits for events of files: those of an idle event loop, and all others.
void Explainer::ExplainEvents(const ThreadFacts& thread) {
  const Wait& wait = thread.wait;
  const std::string place = In(TellingPlace(thread.frames));
  const std::string who = Name(thread) == "it" ? "" : absl::StrCat(Name(thread), ": ");
  const std::string limit = wait.limit_s
                                ? absl::StrCat(", for ", SecondsText(*wait.limit_s), " at most")
                                : ", for as long as it takes";
  const std::string woke = absl::StrCat("it woke up ", thread.sleeps, " times and used ",
                                        Used(thread));
  const std::string seen = thread.sleeps > 0
                               ? absl::StrCat("; ", woke)
                               : absl::StrFormat("; nothing came within %.1f s", facts_.seconds);
  const std::string ends =
      wait.awaited.empty() ? "" : absl::StrCat(", among them the end of ", Which(wait.awaited));
  const std::string events =
      absl::StrCat("for events", wait.object.empty() ? "" : " of ", wait.object, ends);
  // The stack is of the beginning, the wait of the end.
  const bool same = thread.first_call && wait.made &&
                    thread.first_call->number == wait.made->number &&
                    thread.first_call->arguments[0] == wait.made->arguments[0];
  if (same && RunsChild(thread.frames)) {
    Say("child", absl::StrCat(who, "waits for a child to exit", place, Children(thread)));
  } else if (wait.kind == Kind::kEvents && same && IsEventLoop(thread.frames)) {
    const bool alive = thread.sleeps > 0;
    Say("idle",
        alive ? absl::StrCat("event loop alive and idle: ", woke, "; it waits ", events, limit)
              : absl::StrCat("event loop idle: it waits ", events, limit, seen));
  } else if (wait.kind == Kind::kPoll && wait.awaited.size() == 1) {
    Say("child", absl::StrCat(who, "waits", place, " for the end of ", Which(wait.awaited), limit));
  } else if (wait.kind == Kind::kPoll) {
    Say("poll", absl::StrCat(who, "waits", place, PolledText(wait, limit), seen));
  } else {
    Say("events", absl::StrCat(who, "waits", place, CutText(thread), " ", events, limit, seen));
  }
}

void Explainer::ExplainIdle(const ThreadFacts& main) {
  const Wait& wait = main.wait;
  const std::string place = In(TellingPlace(main.frames));
  const std::string who = Name(main) == "it" ? "" : absl::StrCat(Name(main), ": ");
  const bool has_script =
      std::any_of(main.frames.begin(), main.frames.end(),
                  [](const FrameFacts& frame) { return IsScript(frame.kind); });
  switch (wait.kind) {
    case Kind::kEvents:
    case Kind::kPoll:
      ExplainEvents(main);
      break;
    case Kind::kSleep:
      Say("sleep",
          absl::StrCat(who, "sleeps",
                       wait.limit_s
                           ? absl::StrCat(" (", SecondsText(std::max(0.0, *wait.limit_s)), ")")
                           : "",
                       ": ", wait.call, place));
      break;
    case Kind::kLock:
      if (IsHeldByInspector(main.frames) && StoodStill(main)) {
        Say("inspector",
            absl::StrCat(who, "held by node's inspector until a debugger lets it go on",
                         has_script ? absl::StrCat(": it stands", place)
                                    : " (--inspect-brk or the like)"));
        break;
      }
      Say("futex", absl::StrCat(who,
                                "waits on a futex (a condition, a semaphore, or a lock whose "
                                "holder cannot be told)",
                                place));
      break;
    case Kind::kChild:
      Say("child",
          absl::StrCat(who, "waits for a child to exit", place,
                       Children(main)));
      break;
    case Kind::kNone:
      Say("idle", absl::StrCat(who, "mostly idle: ", Used(main), place));
      break;
    default:
      if (!ExplainOtherEnd(main)) {
        Say("waiting",
            absl::StrCat(
                who, "waits in ", wait.call,
                wait.kernel_function.empty() ? "" : absl::StrCat(" (", wait.kernel_function, ")"),
                place));
      }
      break;
  }
}

Explanation Explainer::Explain() {
  if (ExplainState()) return explanation_;
  if (facts_.threads.empty()) {
    Say("unknown", "no thread could be looked at");
    return explanation_;
  }
  if (facts_.seconds > 0) {
    Add(absl::StrFormat("watched for %.1f s, %d samples, %d threads", facts_.seconds,
                        facts_.samples.size(), facts_.threads.size()));
  }
  const ThreadFacts* busiest = &facts_.threads[0];
  for (const ThreadFacts& thread : facts_.threads) {
    if (Wanted(thread) > Wanted(*busiest)) busiest = &thread;
  }
  const ThreadFacts& main = facts_.threads[0];
  const bool deadlocked = ExplainDeadlock();
  bool told = deadlocked;
  if (!told && Wanted(*busiest) >= kBusy) {
    ExplainBusy(*busiest, Wanted(*busiest));
    told = true;
  } else if (!told && CollectsMost()) {
    ExplainBusy(main, Wanted(main));
    told = true;
  }
  // What lasts comes before what one look met.
  for (const bool still : {true, false}) {
    for (size_t i = 0; !told && i < facts_.threads.size(); ++i) {
      told = StoodStill(facts_.threads[i]) == still && ExplainProblem(facts_.threads[i]);
    }
  }
  if (!told) ExplainIdle(main);
  size_t lines = 0;
  for (const ThreadFacts& thread : facts_.threads) {
    const bool new_one = std::none_of(
        explanation_.evidence.begin(), explanation_.evidence.end(), [&](const std::string& line) {
          return absl::StartsWith(line, absl::StrCat("thread ", thread.tid, " "));
        });
    if (new_one &&
        (thread.tid == facts_.pid || thread.cpu_ns > 0 ||
         facts_.threads.size() < kMaxThreadLines) &&
        ++lines <= kMaxThreadLines) {
      AddThread(thread);
    }
  }
  AddOthers();
  return explanation_;
}

void Explainer::AddOthers() {
  for (const auto& [pid, other] : facts_.others) {
    Add(absl::StrCat(other.name, " (pid ", pid, ") ", other.does));
  }
}

// Shares of samples by function on top of the stack.
std::map<std::string, double> Tops(const Facts& facts) {
  std::map<std::string, double> tops;
  const BusyFacts busy = LookAtSamples(facts);
  for (const HotPlace& hot : busy.hottest) {
    tops[hot.text] = static_cast<double>(hot.samples) / static_cast<double>(busy.of_thread);
  }
  return tops;
}

}  // namespace

Explanation Explain(const Facts& facts) { return Explainer(facts).Explain(); }

std::vector<std::string> Compare(const Facts& facts, const Facts& healthy) {
  std::vector<std::string> lines;
  const Explanation other = Explain(healthy);
  lines.push_back(absl::StrCat(healthy.name, " (pid ", healthy.pid, "): ", other.sentence));
  auto cpu = [](const Facts& f) {
    double ns = 0;
    for (const ThreadFacts& thread : f.threads) ns += static_cast<double>(thread.cpu_ns);
    return f.seconds > 0 ? ns / 1e9 / f.seconds : 0;
  };
  lines.push_back(absl::StrFormat("CPU: %s, there %s", Percent(cpu(facts)), Percent(cpu(healthy))));
  if (facts.threads.size() != healthy.threads.size()) {
    lines.push_back(
        absl::StrCat("threads: ", facts.threads.size(), ", there ", healthy.threads.size()));
  }
  const std::map<std::string, double> here = Tops(facts), there = Tops(healthy);
  for (const auto& [text, share] : here) {
    auto found = there.find(text);
    const double before = found == there.end() ? 0 : found->second;
    if (std::abs(share - before) >= 0.1) {
      lines.push_back(
          absl::StrCat("on top of the stack: ", text, ", ", Percent(share), ", there ",
                       found == there.end() ? "not among the hottest" : Percent(before)));
    }
  }
  for (size_t i = 0; i < std::min(facts.threads.size(), healthy.threads.size()) && i < 1; ++i) {
    const Wait &a = facts.threads[i].wait, &b = healthy.threads[i].wait;
    if (a.kind != b.kind) {
      lines.push_back(absl::StrCat("main thread: ", a.call.empty() ? "runs" : a.call, ", there ",
                                   b.call.empty() ? "runs" : b.call));
    }
  }
  return lines;
}

}  // namespace jprof
