//go:build !race

package deadlettertest

const slow = 1
