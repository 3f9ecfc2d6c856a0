package deadletter

// Template is what Fingerprint makes of a message.
var Template = template

// TopFrames is what Fingerprint makes of a stack.
var TopFrames = topFrames

// Limits of Template.
const (
	MaxTemplate      = maxTemplate
	MaxTemplateInput = maxTemplateInput
)
