// Brings the page to life. What follows works with the parts that the page has.

function start() {
  makeTablesLive();
  const data = readPageData();
  if (!data) return;
  let isReady = false;
  let isPlanned = false;
  let gallery = null;
  let viewer = null;

  // The gallery follows the threshold at the pace of the screen, and not at that of the slider.
  function updateSoon() {
    if (!isReady || isPlanned) return;
    isPlanned = true;
    requestAnimationFrame(() => {
      isPlanned = false;
      gallery?.update();
      remember();
    });
  }
  function remember() {
    if (isReady) writeAddress(data, panel, viewer, gallery);
  }

  const panel = makeThresholdPanel(data, updateSoon);
  const thumbnails = makeThumbnails(data);
  viewer = makeViewer(data, panel, thumbnails, remember);
  if (data.gallery) {
    gallery = makeGallery(data, panel, thumbnails, (row, rows) => viewer.open(row, rows), remember);
  }
  panel.set(data.deciding, NaN);
  for (const element of document.querySelectorAll("[data-live]")) element.hidden = false;
  applyAddress(data, panel, viewer, gallery);
  gallery?.update();
  isReady = true;
  window.addEventListener("hashchange", () => applyAddress(data, panel, viewer, gallery));
}

start();
