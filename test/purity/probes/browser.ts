// The browser.
export const page = document.body;
export const view = window.location;
export const kept = localStorage.getItem("x");
export const agent = navigator.userAgent;
