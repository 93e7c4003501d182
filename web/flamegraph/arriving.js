// While the file is read: frames that are too thin to be pointed at are taken out of the document
// as they arrive, before each of them costs a style and a layout. The rest of this folder draws
// them together.
const arriving = (() => {
  const THIN = 3;   // pixels, as WIDE in frames.js
  const taken = [];
  let last = null;  // of those that were looked at

  // All that are complete. The last one may not be, until the file is.
  function take(isAll) {
    const group = document.getElementById("frames");
    if (!group) return;
    let g = last ? last.nextElementSibling : group.firstElementChild;
    for (let following; g && ((following = g.nextElementSibling) || isAll); g = following) {
      taken.push(g);
      const width = Number(g.firstElementChild.nextElementSibling.getAttribute("width"));
      if (width < THIN && following && last) g.remove();
      else last = g;
    }
  }
  const observer = new MutationObserver(() => {
    take(false);
    const group = document.getElementById("frames");
    if (group) observer.observe(group, { childList: true });
    observer.takeRecords();
  });
  observer.observe(document.documentElement, { childList: true });

  // The <g> of all frames, in the file's order.
  return () => {
    observer.disconnect();
    take(true);
    return taken;
  };
})();
