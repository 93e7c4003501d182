// One recording that does not end: the runner names each second what was sampled
// (RecordingOptions::snapshot_ns) and adds it to a table, on its own thread; here the table is
// drawn, and keys are waited for.
#include "profiler/cli/top.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "profiler/capture/monotonic_clock.h"
#include "profiler/capture/priority.h"
#include "profiler/cli/command_main.h"
#include "profiler/cli/diagnostics.h"
#include "profiler/cli/target_options.h"
#include "profiler/core/status.h"
#include "profiler/pipeline/runner.h"
#include "profiler/pipeline/target_files.h"
#include "profiler/process/cpu_time.h"
#include "profiler/top/screen.h"
#include "profiler/top/signals.h"
#include "profiler/top/terminal.h"
#include "profiler/top/terminal_text.h"
#include "profiler/top/view.h"
#include "symbolize/symbolizer_process.h"

namespace jprof {
namespace {

constexpr int kMaxRefreshes = 1'000'000;
constexpr int kMaxRows = 1000;
constexpr int64_t kMinIntervalNs = 100'000'000;
constexpr int64_t kMaxIntervals = 3600;  // of a window
constexpr int kPollMs = 100;
constexpr size_t kTextColumns = 120;
constexpr size_t kMinTextColumns = 40;

struct TopOptions : TargetOptions {
  bool help = false;
  int64_t interval_ns = 1'000'000'000;
  int64_t window_ns = 10'000'000'000;
  bool since_start = false;
  bool by_total = false;
  bool no_kernel = false;
  std::string source_maps;  // as RecordingOptions has it
  std::string filter;
  int batch = 0;  // refreshes; 0: not asked for
  int rows = 20;  // of text
};

// What the pipeline's thread writes and ours reads. It may outlive us: see RecordingOptions.
struct Shared {
  Shared(size_t window, int64_t interval_ns, int frequency)
      : table(window, {.interval_ns = interval_ns}),
        status{.asked_hz = static_cast<double>(frequency),
               .granted_hz = static_cast<double>(frequency)} {}

  absl::Mutex mutex;
  HotTable table ABSL_GUARDED_BY(mutex);
  TopStatus status ABSL_GUARDED_BY(mutex);

  void Add(const Profile& snapshot) {
    SignalStack::OfThisThread();
    absl::MutexLock lock(&mutex);
    table.Add(snapshot);
    status.target = snapshot.title;
    status.notes = snapshot.comments;
    status.asked_hz = snapshot.accounting.rate.asked_hz;
    status.granted_hz = snapshot.accounting.rate.granted_hz;
  }
};

// Our own CPU time, from one reading to the next.
class OwnCpu {
 public:
  explicit OwnCpu(Pid reader) : reader_(reader) {}

  double Percent() {
    const double used_ns = static_cast<double>(OwnCpuTime(reader_));
    const double now_ns = static_cast<double>(MonotonicNow());
    const double percent =
        before_ns_ == 0 ? 0 : 100 * (used_ns - used_before_ns_) / (now_ns - before_ns_);
    used_before_ns_ = used_ns;
    before_ns_ = now_ns;
    return percent;
  }

 private:
  const Pid reader_;
  double used_before_ns_ = 0;
  double before_ns_ = 0;
};

ScreenStyle StyleOfEnvironment() {
  const char* no_colour = std::getenv("NO_COLOR");
  return {.utf8 = LocaleIsUtf8(), .colours = no_colour == nullptr || *no_colour == '\0'};
}

// The table on a terminal.
class Interactive {
 public:
  Interactive(std::shared_ptr<Shared> shared, TopView view, std::unique_ptr<Terminal> terminal,
              Pid reader)
      : shared_(std::move(shared)),
        view_(std::move(view)),
        terminal_(std::move(terminal)),
        own_cpu_(reader) {}

  // Waits for what comes next. False: it is over.
  bool Tick() {
    const Terminal::Happened happened = terminal_->Wait(kPollMs);
    std::vector<std::string> lines;  // none: it is as it was
    const bool goes_on = React(happened, lines);
    // A terminal may be slow; the pipeline does not wait for it.
    if (!lines.empty()) terminal_->Show(lines);
    return goes_on;
  }

  // Gives the terminal back. What was on the screen, as text.
  std::string End(const std::string& why) {
    const ScreenSize size = terminal_->size();
    terminal_.reset();
    absl::MutexLock lock(&shared_->mutex);
    shared_->status.ended = why;
    view_.Update(Table());
    return DrawText(Table(), view_, shared_->status, PageLines(size), size.columns, style_.utf8);
  }

 private:
  bool React(const Terminal::Happened& happened, std::vector<std::string>& lines) {
    absl::MutexLock lock(&shared_->mutex);
    bool changed = happened.redraw || !happened.keys.empty() || !drawn_;
    if (shared_->table.snapshots() != seen_) {
      seen_ = shared_->table.snapshots();
      shared_->status.own_cpu_percent = own_cpu_.Percent();
      changed |= !frozen_;
      if (!frozen_) view_.Update(shared_->table);
    }
    for (const Key& key : happened.keys) {
      if (!OnKey(key)) return false;
    }
    if (changed) {
      drawn_ = true;
      lines = DrawScreen(Table(), view_, shared_->status, terminal_->size(), style_);
    }
    return !happened.stop;
  }

  const HotTable& Table() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(shared_->mutex) {
    return frozen_ ? *frozen_ : shared_->table;
  }

  bool OnKey(const Key& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(shared_->mutex) {
    const TopView::Wish wish = view_.OnKey(key, Table(), PageLines(terminal_->size()));
    if (wish == TopView::Wish::kQuit) return false;
    if (wish == TopView::Wish::kClear) shared_->table.Clear();
    if (wish == TopView::Wish::kClear || !view_.paused) {
      frozen_.reset();
      if (view_.paused) frozen_.emplace(shared_->table);
    } else if (!frozen_) {
      frozen_.emplace(shared_->table);
    }
    view_.Update(Table());
    return true;
  }

  const std::shared_ptr<Shared> shared_;
  TopView view_;
  std::unique_ptr<Terminal> terminal_;
  const ScreenStyle style_ = StyleOfEnvironment();
  OwnCpu own_cpu_;
  std::optional<HotTable> frozen_;  // while it is paused
  uint64_t seen_ = 0;               // snapshots
  bool drawn_ = false;
};

// The table as text, again and again.
class Batch {
 public:
  Batch(std::shared_ptr<Shared> shared, TopView view, const TopOptions& options, Pid reader)
      : shared_(std::move(shared)),
        view_(std::move(view)),
        refreshes_(options.batch),
        rows_(static_cast<size_t>(options.rows)),
        own_cpu_(reader) {
    const char* columns = std::getenv("COLUMNS");
    const int wanted = columns == nullptr ? 0 : std::atoi(columns);
    if (wanted > 0) columns_ = std::max(static_cast<size_t>(wanted), kMinTextColumns);
  }

  bool Tick() {
    pollfd fd = {SignalDescriptor(), POLLIN, 0};
    ::poll(&fd, 1, kPollMs);
    DrainSignals();
    if (TakeSignal(SignalFlag::kSuspend)) StopSelf();
    return Print("").ok() && !IsDone() && !TakeSignal(SignalFlag::kStop);
  }
  // What came last, if it was not printed yet.
  absl::Status End(const std::string& why) {
    JPROF_RETURN_IF_ERROR(status_);
    return IsDone() ? absl::OkStatus() : Print(why);
  }

 private:
  bool IsDone() const { return refreshes_ != 0 && printed_ >= refreshes_; }

  absl::Status Print(const std::string& why) {
    std::string text;
    {
      absl::MutexLock lock(&shared_->mutex);
      if (shared_->table.snapshots() == seen_) return status_;
      seen_ = shared_->table.snapshots();
      shared_->status.own_cpu_percent = own_cpu_.Percent();
      shared_->status.ended = why;
      view_.Update(shared_->table);
      text = DrawText(shared_->table, view_, shared_->status, rows_, columns_, utf8_);
    }
    status_ = WriteStandardOutput(absl::StrCat(printed_ == 0 ? "" : "\n", text));
    ++printed_;
    return status_;
  }

  const std::shared_ptr<Shared> shared_;
  TopView view_;
  const int refreshes_;
  const size_t rows_;
  size_t columns_ = kTextColumns;
  const bool utf8_ = ::isatty(STDOUT_FILENO) == 0 || LocaleIsUtf8();
  OwnCpu own_cpu_;
  uint64_t seen_ = 0;
  int printed_ = 0;
  absl::Status status_;
};

std::string WhyEnded(Runner::Ended ended) {
  switch (ended) {
    case Runner::Ended::kTargetExited:
      return "the target exited";
    case Runner::Ended::kTime:
      return "the time is over";
    case Runner::Ended::kStopped:
      return "";
  }
  return "";
}

void PrintWarnings(const Runner& runner, Shared& shared) {
  for (const std::string& warning : runner.Warnings()) PrintWarning(warning);
  absl::MutexLock lock(&shared.mutex);
  const HotTotals totals = shared.table.Totals({.since_start = true});
  if (totals.lost != 0) {
    PrintWarning(absl::StrCat(totals.lost, " of ", totals.samples + totals.lost,
                              " samples lost; a lower -F loses none"));
  }
}

absl::StatusOr<std::unique_ptr<Runner>> Attach(const TopOptions& options,
                                               const RuntimeSet& runtimes,
                                               std::shared_ptr<SymbolizerProcess> symbolizer,
                                               int niceness,
                                               const std::shared_ptr<Shared>& shared) {
  ProgressLine progress;
  progress.Show("looking at what runs");
  return Runner::Attach(
      {.targets = {.pids = options.pids,
                   .tid = options.tid,
                   .children = options.children,
                   .cgroup = options.cgroup,
                   .comm = options.comm,
                   .use_helpers = options.use_helpers},
       .level = options.level,
       .frequency_hz = static_cast<uint64_t>(options.frequency),
       .duration_ns = options.duration_ns,
       .snapshot_ns = options.interval_ns,
       .on_snapshot = [shared](const Profile& snapshot) { shared->Add(snapshot); },
       .tiers = options.tiers,
       .source_maps = options.source_maps,
       .perf_map_folder = options.perf_map_folder,
       .niceness = niceness,
       .symbolizer = std::move(symbolizer)},
      runtimes);
}

absl::Status Run(const TopOptions& options, const RuntimeSet& runtimes) {
  TopView view;
  JPROF_RETURN_IF_ERROR(AsUsageError(view.SetFilter(options.filter)));
  view.what = {.since_start = options.since_start, .hide_kernel = options.no_kernel};
  view.sort = options.by_total ? TopView::Sort::kTotal : TopView::Sort::kSelf;
  // One who made jprof wait for others shall have it so.
  const int niceness = Niceness();
  if (niceness == 0) SetNiceness(kFirstNiceness);
  // Before there are threads.
  JPROF_ASSIGN_OR_RETURN(std::shared_ptr<SymbolizerProcess> symbolizer, StartFileReaders());
  const Pid reader = symbolizer->pid();
  JPROF_RETURN_IF_ERROR(InstallSignals(GiveBackTerminal));
  auto shared = std::make_shared<Shared>(
      static_cast<size_t>((options.window_ns + options.interval_ns - 1) / options.interval_ns),
      options.interval_ns, options.frequency);
  JPROF_ASSIGN_OR_RETURN(std::unique_ptr<Runner> runner,
                         Attach(options, runtimes, std::move(symbolizer), niceness, shared));
  if (options.batch == 0 && Terminal::IsUsable()) {
    JPROF_ASSIGN_OR_RETURN(std::unique_ptr<Terminal> terminal, Terminal::Open());
    Interactive interactive(shared, std::move(view), std::move(terminal), reader);
    const absl::StatusOr<Runner::Ended> ended =
        runner->Record([&](const RecordingProgress&) { return interactive.Tick(); });
    const std::string last = interactive.End(ended.ok() ? WhyEnded(*ended) : "");
    JPROF_RETURN_IF_ERROR(ended.status());
    JPROF_RETURN_IF_ERROR(WriteStandardOutput(last));
  } else {
    Batch batch(shared, std::move(view), options, reader);
    JPROF_ASSIGN_OR_RETURN(
        const Runner::Ended ended,
        runner->Record([&](const RecordingProgress&) { return batch.Tick(); }));
    JPROF_RETURN_IF_ERROR(batch.End(WhyEnded(ended)));
  }
  PrintWarnings(*runner, *shared);
  return absl::OkStatus();
}

absl::Status TakeInterval(absl::string_view value, TopOptions& out) {
  JPROF_ASSIGN_OR_RETURN(out.interval_ns, ParseDuration("--interval", value));
  if (out.interval_ns >= kMinIntervalNs) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--interval takes 100ms or more, not '", value, "'"));
}

absl::Status TakeSort(absl::string_view value, TopOptions& out) {
  if (value != "self" && value != "total") {
    return absl::InvalidArgumentError(
        absl::StrCat("--sort takes self or total, not '", value, "'"));
  }
  out.by_total = value == "total";
  return absl::OkStatus();
}

absl::Status Check(const Arguments& arguments, TopOptions& out) {
  if (!arguments.words.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("unexpected argument '", arguments.words[0],
                                                   "'; a process is named with -p PID"));
  }
  if (out.window_ns / out.interval_ns >= kMaxIntervals) {
    return absl::InvalidArgumentError(
        absl::StrCat("--window takes up to ", kMaxIntervals, " times the --interval"));
  }
  return CheckTargetOptions(arguments, out, /*commands=*/false);
}

std::vector<Option<TopOptions>> Options() {
  using O = TopOptions;
  std::vector<Option<O>> options = TargetRows<O>();
  const std::vector<Option<O>> own = {
      {{"-i", "--interval", "TIME", "refresh so often (default 1s)"}, TakeInterval},
      {{"", "--window", "TIME", "count the samples of the last TIME (default 10s)"}, &O::window_ns},
      {{"", "--since-start", "", "count all samples since the start"}, &O::since_start},
      {{"", "--sort", "self|total", "sort by time without or with what a function calls"},
       TakeSort},
      {{"", "--filter", "REGEX", "only functions whose name or file matches"}, &O::filter},
      {{"", "--source-maps", "auto|FOLDER", "functions of scripts by their originals"},
       &O::source_maps},
      {{"", "--no-kernel", "", "give the kernel's time to who called it"}, &O::no_kernel},
      {{"-b", "--batch", "N", "print N refreshes as plain text and end"},
       [](absl::string_view value, O& out) -> absl::Status {
         JPROF_ASSIGN_OR_RETURN(out.batch,
                                ParsePositive("--batch", value, kMaxRefreshes, "a number"));
         return absl::OkStatus();
       }},
      {{"", "--rows", "N", "functions in plain text (default 20)"},
       [](absl::string_view value, O& out) -> absl::Status {
         JPROF_ASSIGN_OR_RETURN(out.rows, ParsePositive("--rows", value, kMaxRows, "a number"));
         return absl::OkStatus();
       }},
  };
  options.insert(options.end(), own.begin(), own.end());
  const std::vector<Option<O>> capture = CaptureRows<O>();
  options.insert(options.end(), capture.begin(), capture.end());
  return options;
}

CommandSyntax<TopOptions> Syntax() {
  return {
      .text =
          {.name = "top",
           .summary = "show the hottest functions and stacks, refreshed each second",
           .usage = "top (-p PID | -t TID | -G CGROUP | --comm NAME | -a) [options]\n",
           .about =
               "Shows what processes do now: the hottest functions, JavaScript beside C++ and kernel, refreshed\n"
               "each second, and the stacks of one. One recording that goes on; the processes are not stopped.\n"
               "\n"
               "  jprof top -p 4711          one process\n"
               "  jprof top -a               every process\n"
               "  jprof top -p 4711 -b 1     once, as plain text\n",
           .more =
               "Keys: q quits, arrows and PgUp, PgDn choose, Enter shows stacks, s and t sort by self and\n"
               "total, w the window or all since the start, k hides the kernel, / filters, p pauses, c begins\n"
               "anew, ? helps. Without a terminal each refresh is printed as plain text, until -d or Ctrl-C.\n",
           .takes_words = false},
      .options = Options(),
      .check = Check};
}

}  // namespace

CommandText TopText() { return TextOf(Syntax()); }

int TopMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes) {
  return CommandMain(Syntax(), arguments, [&](const TopOptions& options) {
    return ReportedStatus(Run(options, runtimes));
  });
}

}  // namespace jprof
