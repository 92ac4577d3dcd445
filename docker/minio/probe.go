// The health check of the MinIO image, which has no shell: exit 0 where the server says that it is ready.
package main

import (
	"net/http"
	"os"
	"time"
)

func main() {
	client := http.Client{Timeout: 3 * time.Second}
	answer, err := client.Get("http://127.0.0.1:9000/minio/health/ready")
	if err != nil || answer.StatusCode != http.StatusOK {
		os.Exit(1)
	}
}
