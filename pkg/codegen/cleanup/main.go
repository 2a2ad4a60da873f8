// Command cleanup removes pkg/generated, so that a kind which is no longer
// generated leaves nothing behind.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := os.RemoveAll("pkg/generated"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
