// Package logging brings every library's log into one logrus stream.
package logging

import (
	"fmt"

	"github.com/bombsimon/logrusr/v4"
	lassolog "github.com/rancher/lasso/pkg/log"
	"github.com/sirupsen/logrus"
	"k8s.io/klog/v2"
)

// Setup sets the level ("debug", "info", "warning", …) and the format ("text" or
// "json") of the standard logger and sends klog's and lasso's messages there.
func Setup(level, format string) error {
	parsed, err := logrus.ParseLevel(level)
	if err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	logrus.SetLevel(parsed)
	switch format {
	case "json":
		logrus.SetFormatter(&logrus.JSONFormatter{})
	case "text":
		logrus.SetFormatter(&logrus.TextFormatter{FullTimestamp: true})
	default:
		return fmt.Errorf("--log-format: %q is neither text nor json", format)
	}
	klog.SetLogger(logrusr.New(logrus.StandardLogger()))
	// wrangler points lasso's other levels at logrus already, but not this one.
	lassolog.Debugf = logrus.Debugf
	return nil
}
