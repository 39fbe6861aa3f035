// Package chromium opens pages in a headless Chromium, for tests.
package chromium
