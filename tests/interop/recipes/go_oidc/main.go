package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
)

func main() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if _, err := verify(context.Background(), lines.Text()); err != nil {
			fmt.Println(err)
		} else {
			fmt.Println("accepted")
		}
	}
}
