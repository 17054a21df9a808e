package jobs_test

func workerProcess(url string) {}
